use std::collections::BTreeMap;

use super::*;

fn settings(prefix: &Path, more: &[(&str, &str)]) -> Settings {
    let mut environment: BTreeMap<String, String> = more
        .iter()
        .map(|(name, value)| (format!("KONG_{name}"), (*value).to_owned()))
        .collect();
    environment.insert(
        "KONG_PREFIX".to_owned(),
        prefix.to_string_lossy().into_owned(),
    );
    let sources = config::Sources {
        file: Some(PathBuf::from("/dev/null")),
        environment,
        ..config::Sources::default()
    };
    config::load(&sources).expect("valid").settings
}

#[test]
fn a_folder_belongs_to_one_node_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    prefix.prepare().expect("prepared");
    assert_eq!(prefix.running(), None);
    let claim = prefix.claim().expect("free");
    claim.write_pid().expect("written");
    assert!(matches!(prefix.claim(), Err(Error::AlreadyRunning(_))));
    assert_eq!(prefix.running(), i32::try_from(std::process::id()).ok());
    drop(claim);
    assert_eq!(prefix.running(), None);
    prefix.claim().expect("free again");
}

#[test]
fn a_pid_file_left_from_a_crash_stops_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    prefix.prepare().expect("prepared");
    fs::write(folder.path().join(PID_FILE), "1\n").expect("written");
    assert_eq!(prefix.running(), None);
    prefix.claim().expect("free");
}

#[test]
fn a_full_disk_is_told_from_other_obstacles() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = OpenOptions::new().write(true).open("/dev/full");
    let claim = Claim {
        // What is at this path goes with the claim.
        path: folder.path().join(PID_FILE),
        locked: full.expect("a device that is always full"),
    };
    let written = claim.write_pid();
    assert!(written.is_err());
    unless_full(written).expect("let go");
    let refused = write_private(Path::new("/proc/none"), "text");
    assert!(unless_full(refused).is_err());
}

#[test]
fn the_identity_stays_and_the_setting_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    prefix.prepare().expect("prepared");
    let made = prefix
        .node_id(&settings(folder.path(), &[]))
        .expect("an id");
    assert_eq!(
        prefix
            .node_id(&settings(folder.path(), &[]))
            .expect("an id"),
        made
    );
    let wanted = Uuid::new_v4();
    let told = settings(folder.path(), &[("NODE_ID", &wanted.to_string())]);
    assert_eq!(prefix.node_id(&told).expect("an id"), wanted);
}

#[test]
fn the_record_says_what_was_set_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = Prefix::new(folder.path());
    prefix.prepare().expect("prepared");
    let told = settings(
        folder.path(),
        &[
            ("LOG_LEVEL", "debug"),
            ("PG_PASSWORD", "hush"),
            ("DATABASE", "sqlite"),
        ],
    );
    prefix.write_record(&told).expect("written");
    let text = fs::read_to_string(prefix.record().expect("a record")).expect("readable");
    assert!(
        text.contains("log_level = debug") && !text.contains("hush"),
        "{text}"
    );
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_nothing_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("taken");
    fs::create_dir_all(path.join("inside")).expect("a folder in the way");
    assert!(write_private(&path, "text").is_err());
    let left = fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 1);
}
