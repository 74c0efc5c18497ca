//! A moment as files and people write it.

use std::fmt;

const DAY: i64 = 86_400;

/// A second in UTC, shown as `2026-01-31T23:59:59Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Seconds since the Unix epoch.
    pub seconds: i64,
}

impl Moment {
    /// Without separators, for names of files: `20260131T235959Z`.
    pub fn compact(self) -> String {
        self.to_string().replace(['-', ':'], "")
    }

    /// Year, month and day.
    ///
    /// The year begins in March here, so that the day that some years have more is the last one (the usual calculation
    /// with cycles of 400 years, which all have the same number of days).
    fn date(self) -> (i64, i64, i64) {
        const CYCLE: i64 = 146_097;
        const FROM_MARCH_OF_YEAR_0: i64 = 719_468;
        let days = self.seconds.div_euclid(DAY) + FROM_MARCH_OF_YEAR_0;
        let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = cycle * 400 + year + i64::from(month <= 2);
        (year, month, day)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            formatter,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests;
