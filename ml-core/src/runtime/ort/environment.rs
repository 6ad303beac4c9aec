//! The one environment of a process.

use crate::{Error, Result};
use ort::{LoadDynamicError, environment::Environment};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The environment lives as long as the process: the library allows no second one, not even after the first is gone.
static LOADED: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

/// Loads the library at `path`, else the one that `ORT_DYLIB_PATH` names.
pub(super) fn load(path: Option<PathBuf>) -> Result<Environment> {
    let path = path.or_else(|| std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
    let path = path.ok_or_else(|| {
        Error::unavailable(
            "the shared library of ONNX Runtime is not named: set `OrtConfig::library` or the variable ORT_DYLIB_PATH",
        )
    })?;
    let path = regular_file(&path)?;
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    match &*loaded {
        Some((before, environment)) if *before == path => return Ok(environment.clone()),
        Some((before, _)) => {
            return Err(Error::conflict("this process has loaded another ONNX Runtime already")
                .with("library", path.display())
                .with("loaded", before.display()));
        }
        None => {}
    }
    let environment = ort::init_from(&path)
        .map_err(|source| match &source {
            LoadDynamicError::BadVersion { version_str, .. } => {
                let needed =
                    format!("this ONNX Runtime is too old: version 1.{} or later is needed", ort::MINOR_VERSION);
                unusable(&needed, &path).with("version", version_str)
            }
            _ => unusable("the file is no shared library of ONNX Runtime", &path).with_source(source.to_string()),
        })?
        .with_name("ml-platform")
        .with_telemetry(false)
        .build()
        .map_err(|source| {
            Error::conflict(
                "this process has an environment of ONNX Runtime already; pass it to `OrtRuntime::with_environment`",
            )
            .with_source(source.to_string())
        })?;
    *loaded = Some((path, environment.clone()));
    Ok(environment)
}

/// The version of the library in use: the numbers in its file name, as in `libonnxruntime.so.1.32.0`, else the commit it
/// was built from. The library says its version only to callers in C.
pub(super) fn version() -> String {
    let loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    let name = loaded.as_ref().and_then(|(path, _)| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    name.as_deref().and_then(version_in).unwrap_or_else(|| {
        let info = ort::info();
        info.split([',', ' ']).find_map(|part| part.strip_prefix("git-commit-id=")).unwrap_or(info).into()
    })
}

/// The first numbers of a file name with dots between them.
fn version_in(name: &str) -> Option<String> {
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = name.split('.').skip_while(|part| !number(part)).take_while(number).collect();
    (parts.len() > 1).then(|| parts.join("."))
}

fn regular_file(path: &Path) -> Result<PathBuf> {
    // An absolute path without links: the loader would look for a relative one in places of its own.
    let absolute = path
        .canonicalize()
        .map_err(|source| unusable("the shared library of ONNX Runtime is not there", path).with_source(source))?;
    if absolute.is_file() { Ok(absolute) } else { Err(unusable("the shared library of ONNX Runtime is no file", path)) }
}

fn unusable(message: &str, path: &Path) -> Error {
    Error::unavailable(format!("{message}; it is named by `OrtConfig::library` or the variable {VARIABLE}"))
        .with("library", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_in_the_file_name_on_every_system() {
        assert_eq!(version_in("libonnxruntime.so.1.32.0").as_deref(), Some("1.32.0"));
        assert_eq!(version_in("libonnxruntime.1.32.0.dylib").as_deref(), Some("1.32.0"));
        assert_eq!(version_in("libonnxruntime.so"), None);
        assert_eq!(version_in("onnxruntime.dll"), None);
    }
}
