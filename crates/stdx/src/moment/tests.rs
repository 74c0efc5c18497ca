use super::*;

#[test]
fn known_seconds_have_the_dates_that_calendars_give_them() {
    for (seconds, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_709_251_199, "2024-02-29T23:59:59Z"),
        (1_709_251_200, "2024-03-01T00:00:00Z"),
        (4_107_542_399, "2100-02-28T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (1_795_391_999, "2026-11-22T23:59:59Z"),
    ] {
        assert_eq!(Moment { seconds }.to_string(), text);
    }
}

#[test]
fn days_follow_each_other_without_gaps_for_eight_centuries() {
    let mut before = Moment {
        seconds: -200 * 365 * DAY,
    }
    .date();
    for day in (-200 * 365 + 1)..(600 * 365) {
        let date = Moment { seconds: day * DAY }.date();
        let (year, month, number) = before;
        let follows = [
            (year, month, number + 1),
            (year, month + 1, 1),
            (year + 1, 1, 1),
        ];
        assert!(follows.contains(&date), "{before:?} {date:?}");
        assert!((1..=12).contains(&date.1) && (1..=31).contains(&date.2));
        before = date;
    }
}

#[test]
fn a_time_before_the_epoch_falls_into_the_second_that_has_begun() {
    let time = UNIX_EPOCH - Duration::from_millis(1500);
    assert_eq!(Moment::from(time), Moment { seconds: -2 });
    let time = UNIX_EPOCH + Duration::from_millis(1500);
    assert_eq!(Moment::from(time), Moment { seconds: 1 });
}

#[test]
fn what_is_shown_is_read_again() {
    for seconds in [
        0,
        951_782_400,
        1_798_761_599,
        -62_135_596_800,
        253_402_300_799,
    ] {
        let moment = Moment { seconds };
        assert_eq!(Moment::parse(&moment.to_string()), Some(moment));
    }
}

#[test]
fn times_have_fractions_and_offsets_and_nothing_else_is_one() {
    for text in [
        "2026-03-01T12:00:00.123Z",
        "2026-03-01 14:30:00+02:30",
        "2026-03-01t10:00:00-02:00",
    ] {
        let read = Moment::parse(text).map(|moment| moment.to_string());
        assert_eq!(read.as_deref(), Some("2026-03-01T12:00:00Z"), "{text}");
    }
    for text in [
        "",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00",
        "+026-01-01T00:00:00Z",
        "2026-01-01T00:00:00é",
        "2026-01-01T00:00:00*01:00",
        "tomorrow",
    ] {
        assert_eq!(Moment::parse(text), None, "{text}");
    }
}
