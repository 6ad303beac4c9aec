//! Contracts and their checks, read from the sources: a clause without a check is a wish.

use crate::{Failure, Result, root};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every check that a clause names is a function of a suite, every function of a suite is named by a clause and run by its
/// macro.
pub(crate) fn check_contracts() -> Result<()> {
    let mut sources = Vec::new();
    for member in read_folder(&root())? {
        if member.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ml-")) {
            collect(&member.join("src"), &mut sources)?;
        }
    }
    let (suites, others): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|(path, _)| path.components().any(|part| part.as_os_str() == "conformance"));

    let named: BTreeSet<&str> = others.iter().flat_map(|(_, text)| named_checks(text)).collect();
    let written: BTreeSet<&str> = suites.iter().flat_map(|(_, text)| functions(text)).collect();
    let mut broken: Vec<String> =
        named.difference(&written).map(|check| format!("a clause names `{check}`, which no suite has")).collect();
    broken.extend(written.difference(&named).map(|check| format!("`{check}` of a suite is named by no clause")));
    for (path, text) in &suites {
        broken.extend(
            unlisted(text).map(|check| format!("`{check}` of {} is not in the list of its macro", path.display())),
        );
    }
    if broken.is_empty() {
        println!("   {} checks, each named by a clause, written and run", named.len());
        Ok(())
    } else {
        Err(Failure::new(broken.join("\n")))
    }
}

/// The names in `(check: …)` and `(checks: …)`.
fn named_checks(text: &str) -> impl Iterator<Item = &str> {
    ["(check:", "(checks:"].into_iter().flat_map(move |mark| text.split(mark).skip(1)).flat_map(|rest| {
        let list = rest.split(')').next().unwrap_or_default();
        // Odd parts are between backticks. A trait stands there too, where its checks are meant.
        let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        list.split('`').skip(1).step_by(2).filter(is_name)
    })
}

fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("pub async fn ")?.split(['(', '<']).next())
}

fn unlisted(text: &str) -> impl Iterator<Item = &str> {
    let listed: BTreeSet<&str> = text
        .split_once("conformance_tests!")
        .map(|(_, list)| list.split(|c: char| !c.is_alphanumeric() && c != '_').collect())
        .unwrap_or_default();
    functions(text).filter(move |name| !listed.contains(name))
}

fn collect(folder: &Path, sources: &mut Vec<(PathBuf, String)>) -> Result<()> {
    for path in read_folder(folder)? {
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
            sources.push((path, text));
        }
    }
    Ok(())
}

fn read_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_found_in_clauses() {
        let text =
            "/// 1. A. (check: `a_b`)\n/// 2. B, (checks: `c`,\n/// `d_e256`)\n/// 3. C. (checks: those of [`Model`])";
        assert_eq!(named_checks(text).collect::<Vec<_>>(), ["a_b", "c", "d_e256"]);
    }

    #[test]
    fn a_function_that_no_macro_runs_is_told() {
        let suite = "pub async fn runs(s: impl T) {}\npub async fn lost<S>(s: S) {}\nasync fn private() {}\n\
                     macro_rules! m { () => { $crate::conformance_tests! { x, y, [z]; runs, } } }";
        assert_eq!(unlisted(suite).collect::<Vec<_>>(), ["lost"]);
    }
}
