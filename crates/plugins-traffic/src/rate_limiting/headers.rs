//! Tells clients about their limits.

use plugin_api::{Exchange, HeaderValue, Known};

use crate::counting::{Limit, Period, Verdict, text_of};

/// One limit as its headers say it.
pub(super) struct Shown {
    limit: Limit,
    /// The limit as text, which does not change.
    text: HeaderValue,
}

impl Shown {
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            text: text_of(limit.most),
        }
    }
}

/// Sets the headers of an answer.
///
/// Besides each window, the one that will be full first is told: that with the least left, and of several the longest.
pub(super) fn set(exchange: &mut Exchange<'_>, shown: &[Shown], verdict: &Verdict, now: i64) {
    /// Those that are told once, besides two for each window.
    const OTHERS: usize = 4;
    if shown.is_empty() {
        return;
    }
    let lines = shown.len() * 2 + OTHERS;
    exchange.work.answer_headers.reserve(lines);
    let mut tightest: Option<(f64, &Shown)> = None;
    for (shown, used) in shown.iter().zip(verdict.used) {
        let left = shown.limit.most - used - if verdict.granted { 1.0 } else { 0.0 };
        let left = left.max(0.0);
        if tightest.is_none_or(|(least, _)| left <= least) {
            tightest = Some((left, shown));
        }
        let (limit, remaining) = names(shown.limit.period);
        exchange.set_known_answer_header(limit, shown.text.clone());
        exchange.set_known_answer_header(remaining, text_of(left));
    }
    let Some((left, shown)) = tightest else {
        return;
    };
    let reset = reset(shown.limit.period, now);
    exchange.set_known_answer_header(Known::RateLimitLimit, shown.text.clone());
    exchange.set_known_answer_header(Known::RateLimitRemaining, text_of(left));
    exchange.set_known_answer_header(Known::RateLimitReset, reset.clone());
    if !verdict.granted {
        exchange.set_answer_header("Retry-After", reset);
    }
}

/// In how many seconds the window is over, at least one.
fn reset(period: Period, now: i64) -> HeaderValue {
    let left = i64::from(period.length()) - (now - period.start(now));
    HeaderValue::from(u64::try_from(left).unwrap_or(0).max(1))
}

fn names(period: Period) -> (Known, Known) {
    match period {
        Period::Second => (
            Known::XRateLimitLimitSecond,
            Known::XRateLimitRemainingSecond,
        ),
        Period::Minute => (
            Known::XRateLimitLimitMinute,
            Known::XRateLimitRemainingMinute,
        ),
        Period::Hour => (Known::XRateLimitLimitHour, Known::XRateLimitRemainingHour),
        Period::Day => (Known::XRateLimitLimitDay, Known::XRateLimitRemainingDay),
        Period::Month => (Known::XRateLimitLimitMonth, Known::XRateLimitRemainingMonth),
        Period::Year => (Known::XRateLimitLimitYear, Known::XRateLimitRemainingYear),
    }
}
