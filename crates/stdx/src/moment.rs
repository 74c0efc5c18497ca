//! Moments as machines and people write them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
/// The days from the first of March of the year 0 to 1970.
const MARCH_OF_YEAR_0: i64 = 719_468;

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

impl Moment {
    /// A time as RFC 3339 has it: with a `Z` or an offset, and perhaps fractions of a second, which are left out.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = text.get(range)?;
            let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| are_digits)
        };
        let mark = |at: usize, marks: &[u8]| {
            let byte = text.as_bytes().get(at)?;
            marks.contains(byte).then_some(())
        };
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        for (at, marks) in [(4, b"-"), (7, b"-"), (13, b":"), (16, b":")] {
            mark(at, marks)?;
        }
        mark(10, b"Tt ")?;
        let is_time = (1..=12).contains(&month) && (1..=31).contains(&day);
        if !is_time || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let rest = text.get(19..)?;
        let zone = match rest.strip_prefix('.') {
            Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => rest,
        };
        let offset = match zone {
            "Z" | "z" => 0,
            _ => {
                let (hours, minutes) = zone.get(1..)?.split_once(':')?;
                let hours = i64::from(hours.parse::<u8>().ok()?.min(23));
                let minutes = i64::from(minutes.parse::<u8>().ok()?.min(59));
                let seconds = hours * 3600 + minutes * 60;
                match zone.as_bytes().first()? {
                    b'+' => seconds,
                    b'-' => -seconds,
                    _ => return None,
                }
            }
        };
        // As in `date`, years begin in March.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        let days = 365 * year + leap_days + (153 * month + 2) / 5 + day - 1 - MARCH_OF_YEAR_0;
        let seconds = days * DAY + hour * 3600 + minute * 60 + second - offset;
        Some(Self { seconds })
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
