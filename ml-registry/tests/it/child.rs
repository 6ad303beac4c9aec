//! Real child processes: this test binary runs itself again, with one ignored test as the program of the child.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

const FOLDER: &str = "ML_REGISTRY_TEST_FOLDER";
const ROLE: &str = "ML_REGISTRY_TEST_ROLE";

/// A child and the lines it says.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) lines: Receiver<String>,
}

impl Process {
    /// Starts `program`, the full name of an ignored test, on a folder.
    pub(crate) fn start(program: &str, folder: &Path, role: &str) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", program, "--ignored", "--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(ROLE, role)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        // Ends with the child, when the pipe does.
        thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    /// Kills the child at once (SIGKILL on Unix) and gives the lines it had said and nobody had read.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// Waits for the child to end by itself, and gives the lines nobody had read.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let lines = self.lines.iter().collect();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {lines:?}");
        lines
    }
}

/// In the child: folder and role, or `None` when somebody runs the ignored tests by hand.
pub(crate) fn assignment() -> Option<(PathBuf, String)> {
    let role = env::var_os(ROLE).map(OsString::into_string)?.unwrap();
    Some((env::var_os(FOLDER)?.into(), role))
}

/// In the child: says a line. One write, so that a kill leaves the line whole or absent.
pub(crate) fn say(line: impl std::fmt::Display) {
    io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
