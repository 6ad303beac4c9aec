//! A Python virtual environment under `target/`, with pinned packages.

use crate::{Failure, Result, root, step::shown};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A virtual environment that holds what a list of requirements asks for.
#[derive(Debug)]
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Makes the environment, or takes the one that is there when it was made from the same list.
    pub(crate) fn prepare(name: &str, requirements: &Path) -> Result<Self> {
        let this = Self { folder: root().join("target").join(name) };
        let wanted = fs::read_to_string(requirements)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", requirements.display())))?;
        // Written last, so that an environment with this file is whole.
        let stamp = this.folder.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && works(&this.interpreter()) {
            println!("   as installed before: {}", this.folder.display());
            return Ok(this);
        }
        let mut make = Command::new(system_python()?);
        make.args(["-m", "venv", "--clear"]).arg(&this.folder);
        run(&mut make)?;
        let mut install = Command::new(this.interpreter());
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--use-pep517"]);
        install.arg("--requirement");
        run(install.arg(requirements))?;
        fs::write(&stamp, wanted)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
        println!("   installed: {}", this.folder.display());
        Ok(this)
    }

    /// Unpacks a package as it was built for Python 3.11 on Linux x86-64, whatever runs here, and without what it depends on:
    /// for the data and the shared libraries in it. Returns the folder that holds what would be in `site-packages`.
    pub(crate) fn unpack(&self, package: &str, version: &str) -> Result<PathBuf> {
        let folder = root().join("target/wheels").join(format!("{package}-{version}"));
        // Made by pip as its last step.
        if folder.join(format!("{}-{version}.dist-info/RECORD", package.replace('-', "_"))).is_file() {
            println!("   as unpacked before: {}", folder.display());
            return Ok(folder);
        }
        let mut install = Command::new(self.interpreter());
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
        install.args([
            "--no-compile",
            "--upgrade",
            "--only-binary=:all:",
            "--implementation=cp",
            "--python-version=3.11",
        ]);
        install.args(["--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64", "--target"]).arg(&folder);
        run(install.arg(format!("{package}=={version}")))?;
        println!("   unpacked: {}", folder.display());
        Ok(folder)
    }

    /// The Python of the environment.
    pub(crate) fn interpreter(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// The folder with the installed packages.
    pub(crate) fn packages(&self) -> Result<PathBuf> {
        let missing = || Failure::new(format!("no site-packages under {}", self.folder.display()));
        fs::read_dir(self.folder.join("lib"))
            .map_err(|_| missing())?
            .flatten()
            .map(|python| python.path().join("site-packages"))
            .find(|folder| folder.is_dir())
            .ok_or_else(missing)
    }
}

/// The file in a folder whose name starts so, such as a shared library with its version.
pub(crate) fn file_in(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let missing = || Failure::new(format!("no {prefix}* in {}", folder.display()));
    fs::read_dir(folder)
        .map_err(|_| missing())?
        .flatten()
        .map(|file| file.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .ok_or_else(missing)
}

/// A Python that can make environments; on Debian, and as root, it is installed when there is none.
fn system_python() -> Result<&'static str> {
    let find = || ["python3", "/usr/bin/python3"].into_iter().find(|python| makes_environments(python));
    if let Some(python) = find() {
        return Ok(python);
    }
    println!("   no python3 with venv and pip: installing the Debian packages");
    for arguments in [vec!["update"], vec!["install", "--yes", "--no-install-recommends", "python3", "python3-venv"]] {
        let mut install = Command::new("apt-get");
        install.arg("--quiet=2").args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut install).map_err(|failure| {
            Failure::new(format!(
                "{failure}\nthe tests need python3 with venv: as root, apt-get install python3 python3-venv"
            ))
        })?;
    }
    find().ok_or_else(|| {
        Failure::new("python3 cannot make a virtual environment after its Debian packages were installed")
    })
}

fn makes_environments(python: &str) -> bool {
    // Debian ships `venv` without `ensurepip`; only the latter tells.
    Command::new(python).args(["-c", "import ensurepip, venv"]).output().is_ok_and(|output| output.status.success())
}

fn works(python: &Path) -> bool {
    Command::new(python).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    println!("   {}", shown(command));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{} failed ({status})", shown(command)))),
        Err(error) => Err(Failure::new(format!("cannot run {}: {error}", shown(command)))),
    }
}
