//! How much text a caller may store, so that no input grows a database without bound.

use ml_core::{Error, Result};
use std::collections::BTreeMap;

/// The most bytes of a key, an actor or a title.
pub const MAX_LABEL_BYTES: usize = 250;
/// The most bytes of the value of a tag or parameter, and of a description.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// The most tags of one version or of one new run.
pub const MAX_TAGS: usize = 256;
/// The most points of one call of [`log`](crate::ExperimentTracker::log).
pub const MAX_POINTS: usize = 100_000;

pub(crate) fn check_label(what: &'static str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > MAX_LABEL_BYTES {
        Err(Error::invalid_input(format!("not a {what}: between 1 and {MAX_LABEL_BYTES} bytes"))
            .with("bytes", text.len()))
    } else if text.chars().any(char::is_control) {
        Err(Error::invalid_input(format!("not a {what}: no control characters")).with(what, text.escape_debug()))
    } else {
        Ok(())
    }
}

pub(crate) fn check_text(what: &'static str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT_BYTES {
        Err(Error::invalid_input(format!("the {what} has more than {MAX_TEXT_BYTES} bytes")).with("bytes", text.len()))
    } else if text.contains('\0') {
        Err(Error::invalid_input(format!("the {what} holds a NUL")))
    } else {
        Ok(())
    }
}

pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid_input(format!("more than {MAX_TAGS} tags")).with("tags", tags.len()));
    }
    tags.iter().try_for_each(|(key, value)| {
        check_label("tag", key)?;
        check_text("value", value).map_err(|error| error.with("tag", key))
    })
}
