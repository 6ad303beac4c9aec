//! ml-features.
