use std::fs;

use super::*;

fn machine(log: impl Into<PathBuf>) -> LocalMachine {
    LocalMachine::with_log(Handle::current(), log)
}

#[tokio::test]
async fn a_file_is_made_and_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let name = path.to_str().unwrap();
    let machine = machine("/nowhere");
    for line in ["one\n", "two\n"] {
        machine.append(name, false, line.into()).await.unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_followed_only_when_it_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let moved = folder.path().join("log.1");
    let name = path.to_str().unwrap();
    let machine = machine("/nowhere");
    machine.append(name, false, "one\n".into()).await.unwrap();
    fs::rename(&path, &moved).unwrap();
    machine.append(name, false, "two\n".into()).await.unwrap();
    machine.append(name, true, "three\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_made_is_an_error_and_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("log");
    let name = path.to_str().unwrap();
    let machine = machine("/nowhere");
    assert!(machine.append(name, false, "one\n".into()).await.is_err());
    fs::create_dir(folder.path().join("missing")).unwrap();
    machine.append(name, false, "two\n".into()).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
}

#[tokio::test]
async fn the_system_log_gets_messages_and_may_be_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let machine = machine(&path);
    assert!(machine.system_log("lost".into()).await.is_err());
    for text in ["<14>one: 1", "<14>two: 2"] {
        let daemon = UnixDatagram::bind(&path).unwrap();
        machine.system_log(text.into()).await.unwrap();
        let mut buffer = [0; 64];
        let read = daemon.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..read], text.as_bytes());
        drop(daemon);
        fs::remove_file(&path).unwrap();
    }
}

#[tokio::test]
async fn a_file_is_read_up_to_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "token").unwrap();
    let name = path.to_str().unwrap();
    let machine = machine("/nowhere");
    assert_eq!(&machine.read(name, 5).await.unwrap()[..], b"token");
    assert!(machine.read(name, 4).await.is_err());
    assert!(machine.read("/nowhere/at/all", 4).await.is_err());
    assert_eq!(
        machine.environment("SILVERBACK_TEST_THAT_NOBODY_SETS"),
        None
    );
}
