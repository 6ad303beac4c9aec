//! Integration tests of ml-monitor.
