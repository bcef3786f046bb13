//! When a cron expression is due: a pure function of the expression, the time zone and a time.
//!
//! An expression is meant in local time. A time that the clocks skip in spring is due as much later as they skip; one
//! that comes twice in autumn is due the first time. An expression that goes on all day (`*` or `*/n` hours) is due
//! whenever the clocks show it: not at times that are skipped, and twice at those that come twice.

use chrono::DateTime;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, JobType};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil};

use super::limits::CRON_BYTES_MAX;
use super::{Invalid, Millis};

/// An expression and its time zone, both valid.
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

impl Schedule {
    /// A valid pair, and one that is ever due after `now`.
    pub fn parse(cron_expr: &str, timezone: &str, now: Millis) -> Result<Self, Invalid> {
        let invalid = |why: String| Invalid::new("cron_expr", why);
        if cron_expr.len() > CRON_BYTES_MAX {
            let why = format!("must be at most {CRON_BYTES_MAX} bytes");
            return Err(invalid(why));
        }
        if cron_expr.split_whitespace().count() != 5 {
            let why =
                "must have five fields: minute, hour, day of the month, month, day of the week";
            return Err(invalid(why.to_owned()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(cron_expr)
            .map_err(|error| invalid(format!("is no cron expression: {error}")))?;
        let zone = TimeZoneDatabase::bundled().get(timezone).map_err(|_| {
            let why = format!("{timezone:?} is no time zone; say one like Europe/Berlin, or UTC");
            Invalid::new("timezone", why)
        })?;
        let schedule = Self { cron, zone };
        if schedule.next(now).is_none() {
            return Err(invalid("never comes".to_owned()));
        }
        Ok(schedule)
    }

    /// The first time after `after` that it is due.
    pub fn next(&self, after: Millis) -> Option<Millis> {
        let after = Timestamp::from_millisecond(i64::try_from(after).ok()?).ok()?;
        let found = match self.cron.determine_job_type() {
            JobType::FixedTime => self.next_fixed(after),
            _ => self.next_interval(after),
        };
        u64::try_from(found?.as_millisecond()).ok()
    }

    /// The next `count` times.
    pub fn times(&self, after: Millis, count: usize) -> Vec<Millis> {
        std::iter::successors(self.next(after), |&at| self.next(at))
            .take(count)
            .collect()
    }

    fn next_fixed(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = self.zone.to_datetime(after);
        // A time that was skipped is due later than its own local time says, so the search begins before it.
        local = local
            .checked_sub(jiff::Span::new().hours(SKIP_HOURS_MAX))
            .ok()?;
        loop {
            local = self.next_local(local, false)?;
            let at = self.zone.to_timestamp(local).ok()?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// Steps through the times of one offset, then through those of the next.
    fn next_interval(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after;
        let mut inclusive = false;
        for _ in 0..OFFSETS_SEARCHED_MAX {
            let offset = self.zone.to_offset(from);
            let local = self.next_local(offset.to_datetime(from), inclusive)?;
            let at = offset.to_timestamp(local).ok()?;
            match self.zone.following(from).next() {
                Some(change) if change.timestamp() <= at => {
                    from = change.timestamp();
                    inclusive = true;
                }
                _ => return Some(at),
            }
        }
        None
    }

    /// The next local time. The library counts in a zone without changes; the clocks are ours.
    fn next_local(&self, after: civil::DateTime, inclusive: bool) -> Option<civil::DateTime> {
        let seconds = TimeZone::UTC.to_timestamp(after).ok()?.as_second();
        let after = DateTime::from_timestamp(seconds, 0)?;
        let next = self.cron.find_next_occurrence(&after, inclusive).ok()?;
        let next = Timestamp::from_second(next.timestamp()).ok()?;
        Some(TimeZone::UTC.to_datetime(next))
    }
}

/// The longest leap of the clocks that a search allows for.
const SKIP_HOURS_MAX: i64 = 24;
/// Changes of the clocks that are looked at: an expression that is due once in eight years sees sixteen.
const OFFSETS_SEARCHED_MAX: usize = 100;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Millis {
        let at: Timestamp = text.parse().unwrap();
        at.as_millisecond().try_into().unwrap()
    }

    fn times(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = Schedule::parse(cron, zone, at(after)).unwrap();
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let shown = schedule.times(at(after), count).into_iter().map(|millis| {
            let at = Timestamp::from_millisecond(millis.try_into().unwrap()).unwrap();
            at.to_zoned(zone.clone())
                .strftime("%d %H:%M%:z")
                .to_string()
        });
        shown.collect()
    }

    #[test]
    fn a_time_that_the_clocks_skip_is_due_as_much_later() {
        // Europe/Berlin skips 02:00 to 03:00 on 29 March 2026.
        let found = times("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(
            found,
            ["28 02:30+01:00", "29 03:30+02:00", "30 02:30+02:00"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        let found = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["25 02:30+02:00", "26 02:30+01:00"]);
    }

    #[test]
    fn what_goes_on_all_day_follows_the_clocks() {
        let spring = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3);
        assert_eq!(
            spring,
            ["29 01:30+01:00", "29 03:00+02:00", "29 03:30+02:00"]
        );
        let autumn = times("30 * * * *", "Europe/Berlin", "2026-10-24T23:45:00Z", 4);
        assert_eq!(
            autumn,
            [
                "25 02:30+02:00",
                "25 02:30+01:00",
                "25 03:30+01:00",
                "25 04:30+01:00"
            ]
        );
    }

    #[test]
    fn weekdays_leap_days_and_zones_are_meant_locally() {
        let found = times(
            "0 9 * * MON-FRI",
            "America/New_York",
            "2026-11-20T15:00:00Z",
            2,
        );
        assert_eq!(found, ["23 09:00-05:00", "24 09:00-05:00"]);
        let found = times("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 1);
        assert_eq!(found, ["29 00:00+00:00"]);
        // Days of the month and of the week: either.
        let found = times("0 0 1 * 1", "UTC", "2026-11-30T12:00:00Z", 2);
        assert_eq!(found, ["01 00:00+00:00", "07 00:00+00:00"]);
    }

    #[test]
    fn what_is_no_schedule_says_which_field() {
        for bad in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "a b c d e",
            "0 0 30 2 *",
            "@daily",
            "\u{0} * * * *",
        ] {
            let error = Schedule::parse(bad, "UTC", 0).err().unwrap();
            assert_eq!(error.field, "cron_expr", "{bad:?}");
        }
        for bad in ["", "Mars/Olympus", "+25:99"] {
            let error = Schedule::parse("* * * * *", bad, 0).err().unwrap();
            assert_eq!(error.field, "timezone", "{bad:?}");
        }
    }
}
