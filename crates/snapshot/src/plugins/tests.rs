use std::sync::Arc;

use plugin_api::{Configured, Failure, Handler, Needs, Phase};
use schema::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{PluginTable, Plugins};
use crate::Error;

const ROUTE: Uuid = Uuid::from_u128(1);
const SERVICE: Uuid = Uuid::from_u128(2);
const CONSUMER: Uuid = Uuid::from_u128(3);

/// Knows every name; the priority is the number behind the dash.
#[derive(Debug)]
struct Table;

struct Quiet(Needs);

impl Handler for Quiet {
    fn needs(&self) -> Needs {
        self.0
    }
}

impl PluginTable for Table {
    fn priority(&self, name: &str) -> Option<i64> {
        name.split('-').nth(1)?.parse().ok()
    }

    fn build(&self, _: &str, record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        match record.config.get("secret").and_then(Value::as_str) {
            Some("wrong") => Err(Failure::new("the secret is wrong")),
            _ => Ok(Arc::new(Quiet(Needs::phases(&[Phase::Log])))),
        }
    }
}

fn record(number: u128, name: &str, scope: [Option<Uuid>; 3], config: Value) -> Record {
    let foreign = |id: Option<Uuid>| id.map(|id| json!({ "id": id.to_string() }));
    let record = json!({
        "id": Uuid::from_u128(number).to_string(), "name": name, "config": config, "enabled": true,
        "route": foreign(scope[0]), "service": foreign(scope[1]), "consumer": foreign(scope[2]),
    });
    record.as_object().cloned().expect("an object")
}

fn plugins(records: &[Record]) -> Plugins {
    let mut plugins = Plugins::default();
    for record in records {
        put(&mut plugins, record);
    }
    plugins
}

fn put(plugins: &mut Plugins, record: &Record) {
    try_put(plugins, record).expect("a record");
}

fn try_put(plugins: &mut Plugins, record: &Record) -> Result<(), Error> {
    plugins.put(&Table, record, |reference| {
        (reference == "{vault://env/known}").then(|| "right".to_owned())
    })
}

/// The numbers of the records that apply, in their order.
fn chosen(plugins: &Plugins, consumer: Option<Uuid>) -> Vec<u128> {
    let chain = plugins.chain(plugins.key(Some(ROUTE), Some(SERVICE)));
    let links = chain.links().iter();
    let chosen = links.filter_map(|link| link.choose(consumer));
    chosen.map(|instance| instance.id.as_u128()).collect()
}

#[test]
fn plugins_run_by_falling_priority_then_by_falling_name() {
    let none = [None, None, None];
    let plugins = plugins(&[
        record(10, "a-5", none, json!({})),
        record(11, "b-50", none, json!({})),
        record(12, "c-5", none, json!({})),
    ]);
    assert_eq!(chosen(&plugins, None), [11, 12, 10]);
}

#[test]
fn of_several_records_the_most_specific_one_applies() {
    let (r, s, c) = (Some(ROUTE), Some(SERVICE), Some(CONSUMER));
    let scopes = [
        [r, s, c],
        [r, None, c],
        [None, s, c],
        [r, s, None],
        [None, None, c],
        [r, None, None],
        [None, s, None],
        [None, None, None],
    ];
    for (first, _) in scopes.iter().enumerate() {
        let number = |at: usize| 100 + at as u128;
        let rest = scopes.iter().enumerate().skip(first);
        let records: Vec<_> = rest
            .map(|(at, scope)| record(number(at), "limit-1", *scope, json!({})))
            .collect();
        let plugins = plugins(&records);
        assert_eq!(chosen(&plugins, c), [number(first)], "with the consumer");
        let without = scopes.iter().enumerate().skip(first);
        let expected = without.clone().find(|(_, scope)| scope[2].is_none());
        let expected: Vec<_> = expected.map(|(at, _)| number(at)).into_iter().collect();
        assert_eq!(chosen(&plugins, None), expected, "without a consumer");
    }
}

#[test]
fn records_of_other_routes_services_and_consumers_do_not_apply() {
    let other = Some(Uuid::from_u128(99));
    let plugins = plugins(&[
        record(10, "a-1", [other, None, None], json!({})),
        record(11, "b-1", [None, other, None], json!({})),
        record(12, "c-1", [None, None, other], json!({})),
        record(13, "d-1", [Some(ROUTE), other, None], json!({})),
    ]);
    assert!(chosen(&plugins, Some(CONSUMER)).is_empty());
}

#[test]
fn a_record_that_moves_or_goes_leaves_nothing_behind() {
    let mut plugins = plugins(&[record(10, "a-1", [Some(ROUTE), None, None], json!({}))]);
    let before = plugins.clone();
    put(
        &mut plugins,
        &record(10, "a-1", [None, Some(SERVICE), None], json!({})),
    );
    assert_eq!(chosen(&plugins, None), [10]);
    assert_eq!(plugins.key(Some(ROUTE), None), plugins.key(None, None));
    assert!(before.is_same(&before.clone()) && !before.is_same(&plugins));
    plugins.remove(Uuid::from_u128(10));
    assert!(plugins.is_empty() && chosen(&plugins, None).is_empty());
    assert_eq!(
        chosen(&before, None),
        [10],
        "an older state stays as it was"
    );
}

#[test]
fn a_disabled_record_gives_way_to_a_less_specific_one() {
    let mut specific = record(10, "a-1", [Some(ROUTE), None, None], json!({}));
    let plugins_before = plugins(&[
        specific.clone(),
        record(11, "a-1", [None, None, None], json!({})),
    ]);
    assert_eq!(chosen(&plugins_before, None), [10]);
    let mut after = plugins_before.clone();
    specific.insert("enabled".to_owned(), json!(false));
    put(&mut after, &specific);
    assert_eq!(chosen(&after, None), [11]);
}

#[test]
fn a_plugin_that_cannot_run_refuses_and_is_never_passed_over() {
    let none = [None, None, None];
    let mut plugins = Plugins::default();
    let unknown = json!({ "deep": [{ "secret": "{vault://env/unknown}" }] });
    for (number, name, config, said) in [
        (
            10,
            "a-1",
            json!({ "secret": "wrong" }),
            "the secret is wrong",
        ),
        (11, "b-2", unknown, "{vault://env/unknown}"),
    ] {
        let error = try_put(&mut plugins, &record(number, name, none, config)).expect_err(name);
        assert!(error.to_string().contains(said), "{error}");
    }
    let known = json!({ "secret": "{vault://env/known}" });
    put(&mut plugins, &record(12, "c-3", none, known));
    let chain = plugins.chain(plugins.key(None, None));
    let refuses = chain.links().iter().filter_map(|link| link.choose(None));
    let refuses: Vec<_> = refuses
        .map(|one| (one.id.as_u128(), one.needs.phases.contains(Phase::Access)))
        .collect();
    assert_eq!(refuses, [(12, false), (11, true), (10, true)]);
    assert_eq!(plugins.with_references().len(), 2);
}
