use super::*;

fn part(name: &'static str, executed: &[&str], pending: &[&str], new: &[&str]) -> Subsystem {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Subsystem {
        name,
        executed: names(executed),
        pending: names(pending),
        new: names(new),
    }
}

#[test]
fn names_are_aligned_and_core_comes_first() {
    let status = Status {
        bootstrapped: true,
        subsystems: vec![
            part("acl", &["000_base_acl"], &[], &[]),
            part("core", &["000_base", "003_100_to_110"], &[], &[]),
        ],
        change_log: true,
    };
    let parts = listed(&status, |part| &part.executed, true);
    assert_eq!(
        aligned(&parts),
        "      core: 000_base, 003_100_to_110\n       acl: 000_base_acl\nsilverback: change_log"
    );
}

#[test]
fn the_state_leaves_out_what_there_is_none_of() {
    assert_eq!(
        describe(&Status::default()),
        json!({ "needs_bootstrap": true })
    );
    let status = Status {
        bootstrapped: true,
        subsystems: vec![part("core", &["000_base"], &["003_100_to_110"], &[])],
        change_log: false,
    };
    let migrations = |names: &[&str]| {
        json!([{
            "subsystem": "core",
            "namespace": "kong.db.migrations.core",
            "migrations": names,
        }])
    };
    assert_eq!(
        describe(&status),
        json!({
            "needs_bootstrap": false,
            "executed_migrations": migrations(&["000_base"]),
            "pending_migrations": migrations(&["003_100_to_110"]),
            "new_migrations": [{
                "subsystem": "silverback",
                "namespace": "silverback",
                "migrations": ["change_log"],
            }],
        })
    );
}
