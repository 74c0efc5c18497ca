use super::*;

fn row(failed: u64, converged: Option<u64>) -> Row {
    let outcome = Outcome {
        tally: Tally {
            sent: 10,
            failed,
            longest_gap: Duration::from_millis(1234),
            slowest: Duration::from_millis(45),
            reasons: (0..failed)
                .map(|_| ("status 502".to_owned(), failed))
                .collect(),
            ..Tally::default()
        },
        converged: converged.map(Duration::from_millis),
        ..Outcome::default()
    };
    Row {
        fault: "a fault".to_owned(),
        outcome: Ok(outcome),
    }
}

#[test]
fn good_is_what_no_client_noticed_and_what_converged() {
    assert!(row(0, Some(12)).is_good());
    assert!(!row(1, Some(12)).is_good());
    assert!(!row(0, None).is_good());
    let untried = Row {
        fault: "a fault".to_owned(),
        outcome: Err("needs root".to_owned()),
    };
    assert!(!untried.is_good());
}

#[test]
fn the_table_has_a_line_for_each_fault() {
    let text = table(&[row(0, Some(12)), row(2, None)]);
    let lines: Vec<_> = text.lines().skip(2).collect();
    assert_eq!(
        lines,
        [
            "| a fault | 10 | 0 | 0 | 1.2 s | 45 ms | 12 ms |  |",
            "| a fault | 10 | 2 | 0 | 1.2 s | 45 ms | never | 2 × status 502 |",
        ]
    );
}
