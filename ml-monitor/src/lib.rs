//! ml-monitor.
