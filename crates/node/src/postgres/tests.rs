use super::*;

fn core(new: &[&str], pending: &[&str]) -> Status {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Status {
        bootstrapped: true,
        subsystems: vec![Subsystem {
            name: "core",
            executed: vec!["000_base".to_owned()],
            pending: names(pending),
            new: names(new),
        }],
        change_log: false,
    }
}

#[test]
fn an_empty_database_needs_bootstrapping() {
    assert_eq!(obstacle(&Status::default()), Some(Obstacle::NeedsBootstrap));
}

#[test]
fn a_database_of_an_older_kong_needs_its_migrations() {
    let status = core(&["024_380_to_390"], &[]);
    assert_eq!(obstacle(&status), Some(Obstacle::NewMigrations));
}

#[test]
fn pending_migrations_and_missing_additions_keep_nobody_from_working() {
    assert_eq!(obstacle(&core(&[], &["024_380_to_390"])), None);
}
