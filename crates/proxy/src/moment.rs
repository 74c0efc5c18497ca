//! Wall-clock time as text, formatted once a second.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use stdx::Clock;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// The current second in the two spellings that a proxy needs.
#[derive(Debug)]
pub struct Moment {
    clock: Arc<dyn Clock>,
    second: Cell<i64>,
    http: RefCell<String>,
    log: RefCell<String>,
}

impl Moment {
    /// Reads from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            second: Cell::new(-1),
            http: RefCell::default(),
            log: RefCell::default(),
        }
    }

    /// Appends the time as `Date` has it: `Sun, 22 Nov 2026 22:15:00 GMT`.
    pub fn write_http_date(&self, to: &mut Vec<u8>) {
        self.refresh();
        to.extend_from_slice(self.http.borrow().as_bytes());
    }

    /// Appends the time as access logs have it: `22/Nov/2026:22:15:00 +0000`.
    pub fn write_log_time(&self, to: &mut Vec<u8>) {
        self.refresh();
        to.extend_from_slice(self.log.borrow().as_bytes());
    }

    fn refresh(&self) {
        let second = self.clock.unix_seconds();
        if self.second.replace(second) == second {
            return;
        }
        let (days, rest) = (second.div_euclid(86_400), second.rem_euclid(86_400));
        let (year, month, day) = civil_date(days);
        let name = |table: &'static [&'static str], index: i64| {
            usize::try_from(index)
                .ok()
                .and_then(|index| table.get(index))
                .copied()
                .unwrap_or_default()
        };
        let (weekday, month) = (name(&DAYS, days.rem_euclid(7)), name(&MONTHS, month - 1));
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        *self.http.borrow_mut() =
            format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT");
        *self.log.borrow_mut() =
            format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000");
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, `civil_from_days`).
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (
        era * 400 + year_of_era + i64::from(month <= 2),
        month,
        day_of_year - (153 * from_march + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use stdx::ManualClock;

    use super::*;

    #[test]
    fn a_second_has_both_spellings_and_moves_with_the_clock() {
        let clock = Arc::new(ManualClock::at(
            SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777),
        ));
        let moment = Moment::new(clock.clone());
        let mut text = Vec::new();
        moment.write_http_date(&mut text);
        assert_eq!(text, b"Sun, 06 Nov 1994 08:49:37 GMT");
        text.clear();
        clock.advance(Duration::from_secs(86_400 * 115 + 1));
        moment.write_log_time(&mut text);
        assert_eq!(text, b"01/Mar/1995:08:49:38 +0000");
    }
}
