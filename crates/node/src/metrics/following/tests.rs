use std::time::{Duration, UNIX_EPOCH};

use store::Version;

use super::*;

fn page(status: &Status, answered_at: u64, now: u64) -> String {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let mut page = Page::new();
    write(&mut page, status, at(answered_at), at(now));
    page.finish(metrics::Format::Text)
}

#[test]
fn a_node_that_follows_has_no_lag_and_is_not_stale() {
    let status = Status {
        applied: Some(Version(7)),
        newest: Some(Version(7)),
        contact: Contact::Up,
        ..Status::default()
    };
    let page = page(&status, 100, 160);
    for line in [
        "silverback_config_version_applied 7",
        "silverback_config_lag_versions 0",
        "silverback_config_behind_seconds 0",
        "silverback_database_outage_seconds 0",
        "silverback_config_age_seconds 0",
        "kong_datastore_reachable 1",
        "silverback_config_held 0",
        "silverback_sync_divergences_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
    assert!(!page.contains("silverback_replica_version"), "{page}");
}

#[test]
fn a_node_without_its_database_counts_the_seconds() {
    let status = Status {
        applied: Some(Version(7)),
        newest: Some(Version(9)),
        replica: Some(Version(7)),
        behind_since: Some(UNIX_EPOCH + Duration::from_secs(130)),
        contact: Contact::Down {
            since: UNIX_EPOCH + Duration::from_secs(100),
            reason: "gone".to_owned(),
        },
        held: Some("empty".to_owned()),
        ..Status::default()
    };
    let page = page(&status, 100, 160);
    for line in [
        "silverback_config_lag_versions 2",
        "silverback_config_behind_seconds 30",
        "silverback_database_outage_seconds 60",
        "silverback_config_age_seconds 60",
        "kong_datastore_reachable 0",
        "silverback_config_held 1",
        "silverback_replica_version 7",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}: {page}");
    }
}
