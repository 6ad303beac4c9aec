//! Steps run one after the other; the first that fails stops the command.

use crate::{Failure, Result};
use std::{
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs steps, tells each with its time, and remembers what the summary needs.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    exports: Vec<(&'static str, OsString)>,
    told: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Gives all later commands an environment variable.
    pub(crate) fn export(&mut self, name: &'static str, value: impl Into<OsString>) {
        let value = value.into();
        println!("   {name}={}", value.display());
        self.exports.push((name, value));
    }

    /// Writes the variables as a file that a shell can source, for commands run by hand.
    pub(crate) fn write_exports(&self, path: &Path) -> Result<()> {
        let quoted = |value: &OsString| value.to_string_lossy().replace('\'', r"'\''");
        let lines = self.exports.iter().map(|(name, value)| format!("export {name}='{}'\n", quoted(value)));
        fs::write(path, lines.collect::<String>())
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", path.display())))
    }

    /// Runs a command, whose output goes straight to the terminal.
    pub(crate) fn run(&mut self, name: &str, mut command: Command) -> Result<()> {
        self.start(name, &command);
        command.envs(self.exports.iter().cloned());
        let begun = Instant::now();
        let status = command.status().map_err(|error| cannot_start(&command, &error))?;
        if !status.success() {
            return Err(Failure::new(format!("step '{name}' failed ({status}): {}", shown(&command))));
        }
        self.finish(name, begun.elapsed());
        Ok(())
    }

    /// Runs a command and says its lines that hold one of `marks` again in the summary.
    pub(crate) fn run_and_repeat(&mut self, name: &str, mut command: Command, marks: &[&str]) -> Result<()> {
        self.start(name, &command);
        command.envs(self.exports.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if io::stderr().is_terminal() {
            // A pipe would make cargo and its children go without color.
            command.env("CARGO_TERM_COLOR", "always");
        }
        let begun = Instant::now();
        let mut child = command.spawn().map_err(|error| cannot_start(&command, &error))?;
        let (stdout, stderr) =
            (child.stdout.take().expect("stdout is piped"), child.stderr.take().expect("stderr is piped"));
        let repeated = thread::scope(|scope| {
            let out = scope.spawn(|| forward(stdout, io::stdout(), marks));
            let mut repeated = forward(stderr, io::stderr(), marks);
            repeated.extend(out.join().expect("forwarding does not panic"));
            repeated
        });
        let status = child.wait().map_err(|error| cannot_start(&command, &error))?;
        if !status.success() {
            return Err(Failure::new(format!("step '{name}' failed ({status}): {}", shown(&command))));
        }
        self.finish(name, begun.elapsed());
        self.told.extend(repeated.into_iter().map(|line| format!("     {}", line.trim())));
        Ok(())
    }

    /// Runs a step that is code of our own.
    pub(crate) fn call<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n── {name}");
        let begun = Instant::now();
        let value = step().map_err(|failure| Failure::new(format!("step '{name}' failed: {failure}")))?;
        self.finish(name, begun.elapsed());
        Ok(value)
    }

    /// Says that a step does not run here, and why.
    pub(crate) fn leave_out(&mut self, name: &str, why: &str) {
        println!("\n── {name}: left out, {why}");
        self.told.push(format!("   - {name:<18} left out, {why}"));
    }

    /// Says all steps again, with their times.
    pub(crate) fn summarize(&self) {
        println!("\n── all steps passed");
        for line in &self.told {
            println!("{line}");
        }
    }

    fn start(&self, name: &str, command: &Command) {
        println!("\n── {name}: {}", shown(command));
    }

    fn finish(&mut self, name: &str, took: Duration) {
        println!("   {name} took {:.1} s", took.as_secs_f64());
        self.told.push(format!("   ✓ {name:<18} {:>7.1} s", took.as_secs_f64()));
    }
}

/// Copies line by line, and returns the lines with one of the marks.
fn forward(from: impl Read, mut to: impl Write, marks: &[&str]) -> Vec<String> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    let mut marked = Vec::new();
    while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
        // A reader that went away is no reason to stop the child.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        let text = String::from_utf8_lossy(&line);
        if marks.iter().any(|mark| text.contains(mark)) {
            marked.push(text.into_owned());
        }
        line.clear();
    }
    marked
}

fn cannot_start(command: &Command, error: &io::Error) -> Failure {
    Failure::new(format!("cannot run {}: {error}", shown(command)))
}

/// The command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_stops_with_its_name_and_status() {
        let mut steps = Steps::new();
        let failure = steps.run("broken", Command::new("false")).expect_err("false fails").to_string();
        assert!(failure.starts_with("step 'broken' failed (exit status: 1)"), "{failure}");
        assert!(steps.told.is_empty());
    }

    #[test]
    fn a_shell_reads_back_what_was_exported() {
        let file = std::env::temp_dir().join(format!("exports-{}.sh", std::process::id()));
        let mut steps = Steps::new();
        steps.export("WORD", "it's here");
        steps.write_exports(&file).expect("written");
        let said =
            Command::new("sh").args(["-c", ". \"$0\" && printf %s \"$WORD\""]).arg(&file).output().expect("runs");
        fs::remove_file(&file).expect("removed");
        assert_eq!(said.stdout, b"it's here");
    }

    #[test]
    fn a_missing_command_is_named() {
        let failure = Steps::new().run("x", Command::new("no-such-program")).expect_err("missing").to_string();
        assert!(failure.starts_with("cannot run no-such-program: "), "{failure}");
    }

    #[test]
    fn marked_lines_of_both_streams_are_repeated() {
        let mut steps = Steps::new();
        steps.export("WORD", "passed");
        let mut command = Command::new("sh");
        command.args(["-c", "echo Summary 1 $WORD; echo noise; echo Summary 2 >&2"]);
        steps.run_and_repeat("tests", command, &["Summary"]).expect("runs");
        assert!(steps.told.iter().any(|line| line.trim() == "Summary 1 passed"));
        assert!(steps.told.iter().any(|line| line.trim() == "Summary 2"));
        assert!(!steps.told.iter().any(|line| line.contains("noise")));
    }

    #[test]
    fn forwarding_copies_every_byte() {
        let text = "a\nSummary\nno newline at the end";
        let mut copy = Vec::new();
        assert_eq!(forward(text.as_bytes(), &mut copy, &["Summary"]), ["Summary\n"]);
        assert_eq!(copy, text.as_bytes());
    }
}
