//! Windows of the calendar, in UTC.

use serde::Deserialize;

/// How many kinds of windows there are.
pub const PERIODS: usize = 6;

const SECONDS_A_DAY: i64 = 86_400;

/// A kind of window; the shorter one is the lesser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Year,
}

impl Period {
    /// The name that configurations, keys and rows have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// How many seconds a window counts as long; a month has thirty days, and a year 365.
    pub fn length(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
            Self::Month => 2_592_000,
            Self::Year => 31_536_000,
        }
    }

    /// When the window began that holds a moment; both in seconds since the Unix epoch.
    pub fn start(self, now: i64) -> i64 {
        match self {
            Self::Second => now,
            Self::Minute | Self::Hour | Self::Day => now - now.rem_euclid(self.length().into()),
            Self::Month | Self::Year => {
                let today = now.div_euclid(SECONDS_A_DAY);
                let (of_month, of_year) = elapsed_days(today);
                let elapsed = if self == Self::Month {
                    of_month
                } else {
                    of_year
                };
                (today - elapsed) * SECONDS_A_DAY
            }
        }
    }
}

/// How many days of its month, and of its year, are over on a day that is counted from the Unix epoch.
fn elapsed_days(day: i64) -> (i64, i64) {
    // Years are counted from March, so that the day that only some of them have is their last; four hundred years
    // always have the same number of days.
    const DAYS_IN_400_YEARS: i64 = 146_097;
    const FROM_YEAR_ZERO: i64 = 719_468;
    const BEFORE_MARCH: i64 = 59;
    const FROM_MARCH_TO_YEAR_END: i64 = 306;
    let of_era = (day + FROM_YEAR_ZERO).rem_euclid(DAYS_IN_400_YEARS);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let since_march = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * since_march + 2) / 153;
    let of_month = since_march - (153 * month + 2) / 5;
    if since_march >= FROM_MARCH_TO_YEAR_END {
        return (of_month, since_march - FROM_MARCH_TO_YEAR_END);
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year == 0);
    (of_month, since_march + BEFORE_MARCH + i64::from(is_leap))
}

/// How much a window may hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub period: Period,
    pub most: f64,
}

/// Limits as configurations have them.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct PeriodLimits {
    second: Option<f64>,
    minute: Option<f64>,
    hour: Option<f64>,
    day: Option<f64>,
    month: Option<f64>,
    year: Option<f64>,
}

impl PeriodLimits {
    /// Those that there are, the shortest window first.
    pub fn limits(self) -> Vec<Limit> {
        let all = [
            (Period::Second, self.second),
            (Period::Minute, self.minute),
            (Period::Hour, self.hour),
            (Period::Day, self.day),
            (Period::Month, self.month),
            (Period::Year, self.year),
        ];
        all.into_iter()
            .filter_map(|(period, most)| {
                Some(Limit {
                    period,
                    most: most?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_where_the_calendar_says() {
        // 2024-02-29 13:14:15, 2023-12-31 23:59:59, 2024-01-01 00:00:00, 2100-03-01 00:00:01 and 2000-12-31 00:00:00.
        for (now, minute, day, month, year) in [
            (
                1_709_212_455,
                1_709_212_440,
                1_709_164_800,
                1_706_745_600,
                1_704_067_200,
            ),
            (
                1_704_067_199,
                1_704_067_140,
                1_703_980_800,
                1_701_388_800,
                1_672_531_200,
            ),
            (
                1_704_067_200,
                1_704_067_200,
                1_704_067_200,
                1_704_067_200,
                1_704_067_200,
            ),
            (
                4_107_542_401,
                4_107_542_400,
                4_107_542_400,
                4_107_542_400,
                4_102_444_800,
            ),
            (
                978_220_800,
                978_220_800,
                978_220_800,
                975_628_800,
                946_684_800,
            ),
        ] {
            let starts = [Period::Minute, Period::Day, Period::Month, Period::Year]
                .map(|period| period.start(now));
            assert_eq!(starts, [minute, day, month, year], "at {now}");
            assert_eq!(Period::Second.start(now), now);
        }
    }

    #[test]
    fn every_day_of_a_century_follows_the_one_before() {
        for day in 0..40_000 {
            let ((month, year), (next_month, next_year)) =
                (elapsed_days(day), elapsed_days(day + 1));
            assert!(next_month == month + 1 || next_month == 0, "day {day}");
            assert!(next_year == year + 1 || next_year == 0, "day {day}");
            assert!(next_year != 0 || next_month == 0, "day {day}");
            assert!((27..31).contains(&month) || next_month != 0, "day {day}");
            assert!([364, 365].contains(&year) || next_year != 0, "day {day}");
        }
    }
}
