//! A first look at a model that nobody vouches for, in a child process with limits.

mod child;
mod wire;

use super::LoadOptions;
use crate::{
    Bundle, Error, ErrorKind, Result,
    bundle::{GOLDEN, MODEL, SIGNATURE},
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use serde::{Deserialize, Serialize};
use std::{
    env,
    ffi::OsString,
    io::{self, Read, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};
use wire::{Answer, Request};

pub use child::run_if_child;

/// Says to a process that it is the child of a [`Quarantine`].
const VARIABLE: &str = "ML_PLATFORM_QUARANTINE";

/// The most of an answer, and of what a child says beside it, that is kept.
const MAX_SAID_BYTES: u64 = 1 << 20;

/// What the child may use.
///
/// Beside these, it leaves no core dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuarantineLimits {
    /// Address space, with what the executable and its libraries take: 4 GiB by default. On the GPU nothing is limited.
    pub memory_bytes: u64,
    /// Time of the processor, on all threads together, in whole seconds: 60 by default.
    pub cpu_seconds: u64,
    /// Time on the clock, in whole seconds: 60 by default.
    pub deadline_seconds: u64,
    /// Files that are open at once: 256 by default, since libraries look around when they are loaded.
    pub open_files: u64,
    /// The length of a file that it may write: 16 MiB by default. Libraries write small ones when they are loaded.
    pub file_bytes: u64,
}

impl Default for QuarantineLimits {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, cpu_seconds: 60, deadline_seconds: 60, open_files: 256, file_bytes: 16 << 20 }
    }
}

/// Loads models in a child process and replays their golden inputs there, before this process touches them.
///
/// A graph that is well formed can still crash ONNX Runtime, run without end or take all memory. In the child it ends the
/// child, and [`inspect`](Quarantine::inspect) says how. What this does not do: the child is of the same user and sees the
/// same files and network, so it holds off models that break the runtime, not models that take it over.
///
/// The child is the host's own executable, which calls [`run_if_child`] before anything else.
///
/// ```standalone_crate
/// use ml_core::{
///     Bundle, Tensor, Tensors,
///     onnx::graph::{Domain, GraphBuilder},
///     runtime::{LoadOptions, Runtimes, native::NativeRuntime, quarantine::{Quarantine, run_if_child}},
///     signature::TensorSpec,
///     tensor::DType,
/// };
/// use std::sync::Arc;
///
/// fn main() -> ml_core::Result<()> {
///     if run_if_child(|| Ok(Runtimes::new(vec![Arc::new(NativeRuntime)]))) {
///         return Ok(());
///     }
///     let mut graph = GraphBuilder::new("squash");
///     let x = graph.input(TensorSpec::batched("x", DType::Fp32, [1]))?;
///     let y = graph.node(Domain::Onnx, "Sigmoid", &[x], vec![]);
///     graph.output(y, TensorSpec::batched("y", DType::Fp32, [1]))?;
///     let golden = |name, value: f32| Tensors::new().with(name, Tensor::column(vec![value]));
///     let bundle = Bundle::builder(graph.finish()?).golden(golden("x", 0.0)?, golden("y", 0.5)?)?.build()?;
///
///     let report = Quarantine::own()?.inspect(&bundle, &LoadOptions::default())?;
///     assert!(report.starts_with("native"));
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Quarantine {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: QuarantineLimits,
}

impl Quarantine {
    /// The child is this executable, without arguments.
    ///
    /// # Errors
    /// [`Unavailable`](ErrorKind::Unavailable) when the system does not say which file this is.
    pub fn own() -> Result<Self> {
        let program = env::current_exe().map_err(|source| {
            Error::unavailable("the path of the own executable is not known").op("quarantine").with_source(source)
        })?;
        Ok(Self::command(program, []))
    }

    /// The child is another executable that calls [`run_if_child`].
    #[must_use]
    pub fn command(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
            limits: QuarantineLimits::default(),
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_limits(self, limits: QuarantineLimits) -> Self {
        Self { limits, ..self }
    }

    /// Loads the bundle in a child and replays its golden inputs. Returns the child's report on what ran it, as text.
    ///
    /// Waits for the child, which is gone when this returns, with all processes that it may have started.
    ///
    /// # Errors
    /// What [`Bundle::load`] says in the child, under its kind. [`Timeout`](ErrorKind::Timeout) when the child passes the deadline
    /// or uses up its time of the processor; [`ResourceExhausted`](ErrorKind::ResourceExhausted) when it asks for more memory
    /// than it may have; [`InvalidInput`](ErrorKind::InvalidInput) when it crashes, naming the signal, or when the bundle has
    /// no golden inputs; [`Unavailable`](ErrorKind::Unavailable) when it cannot be started, is killed by another, or gives no
    /// answer.
    pub fn inspect(&self, bundle: &Bundle, options: &LoadOptions) -> Result<String> {
        self.run(bundle, options).map_err(|error| error.op("quarantine.inspect"))
    }

    fn run(&self, bundle: &Bundle, options: &LoadOptions) -> Result<String> {
        let files = [MODEL, SIGNATURE, GOLDEN].map(|path| (path, bundle.file(path)));
        let files: Vec<_> = files.into_iter().filter_map(|(path, bytes)| Some((path, bytes?.as_ref()))).collect();
        if files.len() < 3 {
            return Err(Error::invalid_input("the bundle has no golden inputs to replay"));
        }
        let request = Request { limits: self.limits.clone(), threads: options.threads }.encode(&files)?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .env(VARIABLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that all it starts can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(|source| {
                Error::unavailable("the child process cannot be started")
                    .with("program", self.program.display())
                    .with_source(source)
            })?;
        let ended = converse(child, &request, Duration::from_secs(self.limits.deadline_seconds))
            .map_err(|source| Error::unavailable("the child process cannot be watched").with_source(source))?;
        self.judge(&ended)
    }

    fn judge(&self, ended: &Ended) -> Result<String> {
        if ended.late {
            return Err(Error::new(ErrorKind::Timeout, "the model passed the deadline in quarantine")
                .with("seconds", self.limits.deadline_seconds));
        }
        if let Some(answer) = Answer::find(&ended.answer) {
            return answer.into_result();
        }
        let said = String::from_utf8_lossy(&ended.said);
        let last: Vec<&str> = said.lines().rev().take(3).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("; ");
        let Some(signal) = ended.status.signal() else {
            return Err(Error::unavailable("the child process gives no answer: does it call `run_if_child` first?")
                .with("program", self.program.display())
                .with("status", ended.status)
                .with("said", last.escape_debug()));
        };
        let error = match Signal::from_named_raw(signal) {
            Some(Signal::XCPU) => {
                Error::new(ErrorKind::Timeout, "the model used up its time of the processor in quarantine")
                    .with("seconds", self.limits.cpu_seconds)
            }
            Some(Signal::KILL) => Error::unavailable("the child process was killed from outside"),
            // Where an allocation fails, Rust aborts after this line and C++ after the other.
            _ if said.contains("memory allocation of") || said.contains("std::bad_alloc") => {
                Error::resource_exhausted("the model takes more memory than quarantine gives")
                    .with("bytes", self.limits.memory_bytes)
            }
            _ => Error::invalid_input("the model crashes the runtime"),
        };
        Err(error.with("status", ended.status).with("said", last.escape_debug()))
    }
}

/// A child that is gone.
struct Ended {
    status: ExitStatus,
    /// Whether it was ended for passing the deadline.
    late: bool,
    answer: Vec<u8>,
    said: Vec<u8>,
}

/// Gives the child its request, hears it out, ends it at the deadline, and takes it off the system's list of processes.
fn converse(mut child: Child, request: &[u8], deadline: Duration) -> io::Result<Ended> {
    let pid = Pid::from_child(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (gone, until_gone) = channel::<()>();
    let heard = thread::scope(|scope| {
        scope.spawn(move || {
            // A child that ends early does not read to the end; its answer or its status says why.
            let _ = stdin.map(|mut stdin| stdin.write_all(request));
        });
        let answer = scope.spawn(move || hear(stdout));
        let said = scope.spawn(move || hear(stderr));
        let watch = scope.spawn(move || {
            let late = until_gone.recv_timeout(deadline) == Err(RecvTimeoutError::Timeout);
            if late {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            late
        });
        // Waits without taking the child off the list: until then nobody else can be given its number, so that the watch
        // above and the line below end no strangers.
        let waited = loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other,
            }
        };
        drop(gone);
        let late = watch.join().unwrap_or(true);
        let _ = kill_process_group(pid, Signal::KILL);
        let joined = |heard: thread::ScopedJoinHandle<'_, Vec<u8>>| heard.join().unwrap_or_default();
        waited.map(|_| (late, joined(answer), joined(said)))
    });
    let status = child.wait()?;
    let (late, answer, said) = heard?;
    Ok(Ended { status, late, answer, said })
}

/// The end of what comes out of a pipe; all of it is read, so that the child never waits for us.
fn hear(pipe: Option<impl Read>) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let most = usize::try_from(MAX_SAID_BYTES).unwrap_or(usize::MAX);
    let mut kept = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return kept,
            Ok(count) => {
                kept.extend_from_slice(&chunk[..count]);
                if kept.len() > 2 * most {
                    kept.drain(..kept.len() - most);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}
