//! Moments as machines and people write them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

/// A second in UTC, shown as RFC 3339 has it: `2026-01-31T23:59:59Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
}

impl Moment {
    /// Year, month and day.
    ///
    /// The calendar repeats itself every 400 years. Years are counted from March here, so that the day that only some
    /// of them have is their last.
    pub fn date(self) -> (i64, i64, i64) {
        const CYCLE: i64 = 400 * 365 + 97;
        const MARCH_OF_YEAR_0: i64 = 719_468;
        let days = self.seconds.div_euclid(DAY) + MARCH_OF_YEAR_0;
        let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
        // Without the leap days of this cycle, every year has 365 days.
        let leap_days = day / 1460 - day / 36_524 + day / (CYCLE - 1);
        let year = (day - leap_days) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        // From March on, five months have 153 days again and again.
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        (cycle * 400 + year + next, month, day)
    }

    /// Hour, minute and second.
    pub fn time(self) -> (i64, i64, i64) {
        let second = self.seconds.rem_euclid(DAY);
        (second / 3600, second / 60 % 60, second % 60)
    }
}

impl From<SystemTime> for Moment {
    /// The second that the time falls into.
    fn from(time: SystemTime) -> Self {
        let whole = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(since) => whole(since),
            Err(before) => {
                let before = before.duration();
                -whole(before) - i64::from(before.subsec_nanos() > 0)
            }
        };
        Self { seconds }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), (hour, minute, second)) = (self.date(), self.time());
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests;
