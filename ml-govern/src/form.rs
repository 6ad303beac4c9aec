//! The version of the JSON forms that this crate writes, checked on every read.

use serde::{Deserialize, Deserializer, de::Error as _};

/// The form written by this release.
pub(crate) const CURRENT: u32 = 1;

/// Reads the version of a form and refuses a later one, whose meaning is not known here.
pub(crate) fn current<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        CURRENT => Ok(CURRENT),
        other => Err(D::Error::custom(format_args!("form {other} is not known, only form {CURRENT}"))),
    }
}
