//! The inside of the child.

use super::{
    QuarantineLimits, VARIABLE,
    wire::{Answer, Request},
};
use crate::{
    Bundle, Error, Result,
    runtime::{LoadOptions, Runtimes},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write as _};

/// Does the work of the child if this process is the child of a [`Quarantine`](super::Quarantine), and says whether it was.
///
/// The host calls it first in `main` and returns when it is true. `runtimes` gives what the host loads models with; it is
/// called under the limits, and only in the child.
#[must_use = "the child of a quarantine has nothing else to do"]
pub fn run_if_child(runtimes: impl FnOnce() -> Result<Runtimes>) -> bool {
    if std::env::var_os(VARIABLE).is_none() {
        return false;
    }
    let answer = match work(runtimes) {
        Ok(report) => Answer::Passed { report },
        Err(error) => Answer::refused(&error),
    };
    let mut out = io::stdout().lock();
    // Without an answer the parent goes by how the child ended.
    let _ = out.write_all(&answer.encode()).and_then(|()| out.flush());
    true
}

fn work(runtimes: impl FnOnce() -> Result<Runtimes>) -> Result<String> {
    let mut stdin = io::stdin().lock();
    let (request, lengths) = Request::decode(&mut stdin)?;
    limit(&request.limits)?;
    let files = lengths.read(&mut stdin)?;
    let bundle = Bundle::from_files(files)?;
    let options = LoadOptions { threads: request.threads, ..LoadOptions::default() };
    let runtimes = runtimes()?;
    bundle.load(runtimes.list(), &options).map(|loaded| loaded.report.to_string())
}

/// Limits this process, and nobody can widen the limits again.
fn limit(limits: &QuarantineLimits) -> Result<()> {
    let set = |resource: Resource, most: u64, then: u64| {
        // A hard limit that is lower already stays.
        let hard = getrlimit(resource).maximum.map_or(then, |hard| hard.min(then));
        setrlimit(resource, Rlimit { current: Some(most.min(hard)), maximum: Some(hard) })
            .map_err(|source| Error::internal("a limit of the child cannot be set").with_source(source))
    };
    set(Resource::Core, 0, 0)?;
    set(Resource::Fsize, limits.file_bytes, limits.file_bytes)?;
    set(Resource::Nofile, limits.open_files, limits.open_files)?;
    // A signal that can be told from others at the soft limit, and the end at the hard one.
    set(Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds.saturating_add(1))?;
    set(Resource::As, limits.memory_bytes, limits.memory_bytes)
}
