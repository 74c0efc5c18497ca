use super::*;

#[test]
fn names_are_read_back_and_sort_by_time() {
    let taken = Moment {
        seconds: 1_763_862_000,
    };
    assert_eq!(name(taken, 1), "silverback-20251123T014000Z.backup");
    assert_eq!(parse_name(&name(taken, 1)), Some(("20251123T014000Z", 1)));
    assert_eq!(parse_name(&name(taken, 12)), Some(("20251123T014000Z", 12)));
    for other in [
        "silverback.backup",
        "silverback-now.backup",
        "silverback-20251123T014000Z.backup.gz",
        "silverback-20251123T014000Z-x.backup",
        "silverback-20251123 014000Z.backup",
        "other-20251123T014000Z.backup",
    ] {
        assert_eq!(parse_name(other), None, "{other}");
    }
}

#[test]
fn only_the_oldest_backups_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let touch = |name: &str| File::create(folder.path().join(name)).unwrap();
    let taken = |seconds| Moment { seconds };
    for seconds in [5, 1, 3] {
        touch(&name(taken(seconds), 1));
    }
    for number in [2, 10, 9] {
        touch(&name(taken(3), number));
    }
    touch("notes.txt");
    touch("silverback-old.backup");
    let keep = NonZeroUsize::new(3).unwrap();
    let removed = keep_newest(folder.path(), keep).unwrap();
    let names: Vec<_> = removed
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy())
        .collect();
    assert_eq!(
        names,
        [name(taken(1), 1), name(taken(3), 1), name(taken(3), 2)].as_slice()
    );
    assert_eq!(list(folder.path()).unwrap().len(), 3);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    assert!(keep_newest(folder.path(), keep).unwrap().is_empty());
}

#[test]
fn a_partial_file_stays_while_somebody_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let busy = File::create(path(".silverback-1.partial")).unwrap();
    busy.lock().unwrap();
    File::create(path(".silverback-2.partial")).unwrap();
    File::create(path("other.partial")).unwrap();
    remove_abandoned(folder.path());
    assert!(path(".silverback-1.partial").exists());
    assert!(!path(".silverback-2.partial").exists());
    assert!(path("other.partial").exists());
}
