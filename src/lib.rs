//! ml-platform.
