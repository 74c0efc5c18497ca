use std::time::{Duration, SystemTime};

use stdx::ManualClock;

use super::*;

fn logged(level: Level, body: impl FnOnce(&Handle)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error.log");
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(951_782_400));
    let (layer, handle) = layer(level, &Destination::File(path.clone()), Arc::new(clock)).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || body(&handle));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_line_has_the_format_of_nginx() {
    let text = logged(Level::Notice, |_| {
        tracing::warn!(peer = "10.0.0.1", "upstream closed")
    });
    let expected = format!(
        "2000/02/29 00:00:00 [warn] {}#0: upstream closed, peer=10.0.0.1\n",
        std::process::id()
    );
    assert_eq!(text, expected);
}

#[test]
fn a_level_that_changes_at_run_time_takes_effect_at_once() {
    let text = logged(Level::Notice, |handle| {
        tracing::debug!("hidden");
        handle.set_level(Level::Info);
        tracing::debug!("shown");
        handle.set_level(Level::Error);
        tracing::warn!("hidden again");
    });
    assert!(text.contains("[info]") && text.contains("shown"), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn text_from_outside_cannot_forge_a_line() {
    let text = logged(Level::Notice, |_| {
        tracing::info!(path = "/a\n2000/01/01 [alert] forged", "request")
    });
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_reopened_log_goes_to_a_new_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("error.log");
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let (layer, handle) = layer(Level::Notice, &Destination::File(path.clone()), clock).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        tracing::info!("before");
        std::fs::rename(&path, folder.path().join("error.log.1")).unwrap();
        handle.reopen().unwrap();
        tracing::info!("after");
    });
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(now.contains("after") && !now.contains("before"), "{now}");
}

#[test]
fn every_level_name_parses_to_itself() {
    for (level, name) in Level::ALL {
        assert_eq!(name.parse::<Level>().unwrap(), level);
        assert_eq!(level.name(), name);
    }
    assert!("verbose".parse::<Level>().is_err());
}

#[test]
fn followers_see_the_parts_of_lines_until_they_have_seen_enough() {
    #[derive(Default, Clone)]
    struct Two(Arc<Mutex<Vec<Line>>>);
    impl Follower for Two {
        fn line(&self, line: &Line) -> bool {
            let mut lines = self.0.lock();
            lines.push(line.clone());
            lines.len() < 2
        }
    }
    let seen = Two::default();
    logged(Level::Notice, |handle| {
        handle.follow(Box::new(seen.clone()));
        tracing::warn!(request_id = %"17", tries = 2, "upstream closed");
        tracing::debug!("too fine to be written");
        tracing::info!("second");
        tracing::info!("one too many");
    });
    let lines = seen.0.lock();
    let [first, second] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(
        (first.level, &*first.message),
        (Level::Warn, "upstream closed")
    );
    let fields = [("request_id", "17"), ("tries", "2")];
    assert_eq!(
        first.fields,
        fields.map(|(name, value)| (name, value.to_owned()))
    );
    assert_eq!(second.message, "second");
}
