use super::*;

#[test]
fn every_family_is_declared_once_and_reads_the_same_in_both_formats() {
    let all = families();
    for pair in all.windows(2) {
        assert_ne!(pair[0].name, pair[1].name);
    }
    for family in all {
        let name = family.name;
        assert!(
            ["kong_", "silverback_", "process_"]
                .iter()
                .any(|start| name.starts_with(start)),
            "{name}"
        );
        assert!(!family.help.contains(['"', '\\', '\n']), "{name}");
        let is_counter = family.kind == metrics::Kind::Counter;
        // Kong's names are what they are.
        if !name.starts_with("kong_") {
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        }
    }
}

#[test]
fn the_reference_names_every_family_with_its_labels() {
    let text = reference_markdown();
    assert!(
        text.contains("| `kong_nginx_timers` | gauge | `state` |"),
        "{text}"
    );
    for family in families() {
        assert!(text.contains(&format!("| `{}` |", family.name)));
    }
}
