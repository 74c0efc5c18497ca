use std::collections::BTreeSet;

use super::*;

/// Names and defaults of the settings that Kong documents.
const KONG: &str = include_str!("tests/kong_settings.tsv");

fn all() -> impl Iterator<Item = &'static Declaration> {
    groups().iter().flat_map(|group| group.settings)
}

#[test]
fn every_setting_of_kong_is_declared() {
    let missing: Vec<&str> = KONG
        .lines()
        .filter_map(|line| line.split('\t').next())
        .filter(|name| find(name).is_none())
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn defaults_are_kongs_except_where_silverback_differs_on_purpose() {
    const DIFFERENT: [&str; 5] = [
        "prefix",
        "database",
        "admin_gui_listen",
        "nginx_user",
        "tracing_sampling_rate",
    ];
    for line in KONG.lines() {
        let (name, default) = line.split_once('\t').unwrap_or((line, ""));
        let declared = find(name).expect("declared");
        let documented_only =
            default.is_empty() || default.starts_with('<') || declared.default.is_empty();
        if DIFFERENT.contains(&name) || documented_only {
            continue;
        }
        // Kong's documentation and its table of defaults disagree on these two.
        if [
            "opentelemetry_tracing_sampling_rate",
            "proxy_server_ssl_verify",
        ]
        .contains(&name)
        {
            continue;
        }
        assert!(
            declared.default.eq_ignore_ascii_case(default),
            "{name}: {} is not {default}",
            declared.default
        );
    }
}

#[test]
fn names_are_unique_and_defaults_can_be_used() {
    let mut seen = BTreeSet::new();
    for setting in all() {
        assert!(
            seen.insert(setting.name),
            "{} is declared twice",
            setting.name
        );
        value::parse(setting.name, &setting.kind, setting.default).expect("a default is valid");
    }
}

#[test]
fn every_setting_is_described_in_sentences() {
    for setting in all() {
        let meaning = setting.meaning.trim_end();
        assert!(
            meaning.ends_with('.') || meaning.ends_with(':'),
            "{}: {meaning}",
            setting.name
        );
        if let Effect::Nothing(reason) = setting.effect {
            assert!(
                !reason.is_empty() && !reason.ends_with('.'),
                "{}",
                setting.name
            );
        }
    }
}

#[test]
fn names_that_settings_point_at_exist() {
    for setting in all() {
        for target in setting.feeds.iter().copied().chain(setting.replaced_by) {
            assert!(
                find(target).is_some(),
                "{} points at {target}",
                setting.name
            );
        }
    }
}

#[test]
fn the_reference_page_has_a_row_for_every_setting() {
    let page = reference_markdown();
    for setting in all() {
        assert!(
            page.contains(&format!("| `{}` |", setting.name)),
            "{}",
            setting.name
        );
    }
}
