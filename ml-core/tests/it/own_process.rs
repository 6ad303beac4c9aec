//! Tests that need a process of their own: it loads one library of ONNX Runtime for good.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

const ALONE: &str = "ML_CORE_TEST_ALONE";

/// Runs the body of the calling test in a child process: this binary again, with that test and no other.
pub(crate) fn in_own_process(body: impl FnOnce()) {
    if env::var_os(ALONE).is_some() {
        return body();
    }
    let name = thread::current().name().expect("a thread of a test has its name").to_owned();
    let output = Command::new(env::current_exe().expect("this binary"))
        .args(["--exact", &name, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(ALONE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("this binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}", output.status);
    let ran = String::from_utf8_lossy(&output.stdout);
    assert!(ran.contains("1 passed"), "{name} did not run:\n{ran}");
}

/// A library that `cargo xtask test` brings.
pub(crate) fn library(variable: &str) -> PathBuf {
    env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| {
        panic!("run `cargo xtask test`, which brings this library of ONNX Runtime and sets {variable} to its path")
    })
}
