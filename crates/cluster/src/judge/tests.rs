use std::time::Duration;

use store::replica::Counts;

use super::{Doubt, Loss};

const BELIEF: Duration = Duration::from_secs(60);

fn counts(of: &[(&str, u64)]) -> Counts {
    let owned = of.iter().map(|(name, count)| ((*name).to_owned(), *count));
    owned.collect()
}

fn loss(before: &[(&str, u64)], after: &[(&str, u64)]) -> Option<Loss> {
    Loss::between(&counts(before), &counts(after))
}

#[test]
fn fewer_records_are_no_loss_of_a_kind() {
    assert_eq!(
        loss(
            &[("routes", 500), ("services", 9)],
            &[("routes", 1), ("services", 9)]
        ),
        None
    );
}

#[test]
fn a_first_content_loses_nothing() {
    assert_eq!(loss(&[("workspaces", 1)], &[]), None);
    assert_eq!(loss(&[("routes", 0)], &[]), None);
}

#[test]
fn what_every_database_has_does_not_count_as_left() {
    let lost = loss(
        &[("routes", 3), ("workspaces", 1)],
        &[("routes", 0), ("workspaces", 1)],
    );
    assert!(lost.unwrap().is_total);
}

#[test]
fn a_kind_that_is_gone_is_named() {
    let lost = loss(&[("routes", 3), ("plugins", 2)], &[("routes", 3)]).unwrap();
    assert_eq!(lost.kinds, ["plugins"]);
    assert!(!lost.is_total);
}

#[test]
fn a_partial_loss_is_believed_once_it_has_lasted() {
    let lost = || loss(&[("routes", 3), ("plugins", 2)], &[("routes", 3)]);
    let first = Doubt::judge(None, lost(), Duration::from_secs(100), BELIEF);
    let early = Doubt::judge(first.clone(), lost(), Duration::from_secs(159), BELIEF);
    assert_eq!(early, first);
    assert_eq!(
        Doubt::judge(early, lost(), Duration::from_secs(160), BELIEF),
        None
    );
}

#[test]
fn another_partial_loss_starts_again() {
    let plugins = loss(&[("routes", 3), ("plugins", 2)], &[("routes", 3)]);
    let routes = loss(&[("routes", 3), ("plugins", 2)], &[("plugins", 2)]);
    let first = Doubt::judge(None, plugins, Duration::ZERO, BELIEF);
    let second = Doubt::judge(first, routes, Duration::from_secs(90), BELIEF).unwrap();
    assert_eq!(second.since, Duration::from_secs(90));
}

#[test]
fn a_total_loss_is_never_believed_by_itself() {
    let lost = || loss(&[("routes", 3)], &[]);
    let first = Doubt::judge(None, lost(), Duration::ZERO, BELIEF);
    let later = Doubt::judge(first, lost(), Duration::from_secs(1_000_000), BELIEF);
    assert!(later.is_some());
}
