//! Time in UTC microseconds. No naive time exists in the API, and the two kinds of time cannot be swapped.

use crate::{Error, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

macro_rules! instant {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The earliest time that can be told.
            pub const MIN: Self = Self(i64::MIN);
            /// The latest time that can be told.
            pub const MAX: Self = Self(i64::MAX);

            /// Keeps microseconds since the Unix epoch.
            #[must_use]
            pub const fn from_micros(micros: i64) -> Self {
                Self(micros)
            }

            /// Microseconds since the Unix epoch.
            #[must_use]
            pub const fn as_micros(self) -> i64 {
                self.0
            }

            /// This time and a span later; the latest time if that is beyond it.
            #[must_use]
            pub fn saturating_add(self, span: Duration) -> Self {
                Self(self.0.saturating_add(micros(span)))
            }

            /// This time and a span earlier; the earliest time if that is beyond it.
            #[must_use]
            pub fn saturating_sub(self, span: Duration) -> Self {
                Self(self.0.saturating_sub(micros(span)))
            }
        }

        impl fmt::Display for $name {
            /// RFC 3339 in UTC with microseconds, or plain microseconds where the year has more than four digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match DateTime::<Utc>::from_timestamp_micros(self.0) {
                    Some(time) if (0..=9999).contains(&chrono::Datelike::year(&time)) => {
                        f.pad(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
                    }
                    _ => write!(f, "{}us", self.0),
                }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads RFC 3339 with an offset, such as `2013-01-01T05:15:00-05:00`.
            fn from_str(text: &str) -> Result<Self> {
                DateTime::parse_from_rfc3339(text).map(|time| Self(time.timestamp_micros())).map_err(|source| {
                    Error::invalid_input("not a time in RFC 3339 with an offset").with("time", text.escape_debug()).with_source(source)
                })
            }
        }
    };
}

instant! {
    /// When something happened in the world, in UTC microseconds since the Unix epoch.
    EventTime
}
instant! {
    /// When something became known to the system, in UTC microseconds since the Unix epoch.
    CreatedTime
}

impl From<CreatedTime> for EventTime {
    fn from(time: CreatedTime) -> Self {
        Self(time.0)
    }
}

impl From<EventTime> for CreatedTime {
    fn from(time: EventTime) -> Self {
        Self(time.0)
    }
}

/// Where the present comes from; a test brings its own.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present.
    fn now(&self) -> CreatedTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> CreatedTime {
        CreatedTime(Utc::now().timestamp_micros())
    }
}

/// A clock that stands still until it is moved.
///
/// ```
/// use ml_core::time::{Clock, CreatedTime, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new(CreatedTime::from_micros(0));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now().to_string(), "1970-01-01T00:00:01Z");
/// ```
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: CreatedTime) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the present forward.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(micros(span), Ordering::SeqCst);
    }

    /// Sets the present, also backwards.
    pub fn set(&self, now: CreatedTime) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> CreatedTime {
        CreatedTime(self.0.load(Ordering::SeqCst))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_and_parse_in_utc() {
        let time: EventTime = "2013-01-01T05:15:00-05:00".parse().expect("valid");
        assert_eq!(time.to_string(), "2013-01-01T10:15:00Z");
        assert_eq!(time.to_string().parse::<EventTime>().expect("own print"), time);
        assert!("2013-01-01T05:15:00".parse::<EventTime>().is_err(), "a naive time is refused");
    }

    #[test]
    fn extreme_times_print_without_panic() {
        for time in [EventTime::MIN, EventTime::MAX] {
            assert!(time.to_string().ends_with("us"));
        }
        assert_eq!(EventTime::MAX.saturating_add(Duration::from_secs(1)), EventTime::MAX);
    }
}
