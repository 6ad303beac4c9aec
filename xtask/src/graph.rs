//! Rules of the dependency graph, read from `cargo tree`.

use crate::{Failure, Result, cargo, step::shown};
use std::collections::{BTreeMap, BTreeSet};

const CORE: &str = "ml-core";
const SIBLINGS: [&str; 5] = ["ml-features", "ml-govern", "ml-monitor", "ml-registry", "ml-serve"];

/// Crates whose types cross our public API or whose two majors would not fit together.
const ONLY_ONCE: [&str; 8] = ["arrow", "arrow-array", "arrow-schema", "axum", "http", "hyper", "parquet", "tower"];

/// The core imports no sibling, and a sibling imports only the core. Dependencies of tests do not count.
pub(crate) fn check_star() -> Result<()> {
    let tree = tree(&["--edges", "normal,build", "--depth", "1", "--prefix", "depth", "--no-dedupe"])?;
    let broken = star_breaks(&tree);
    if broken.is_empty() {
        println!("   {CORE} imports no sibling; each of {} siblings imports only {CORE}", SIBLINGS.len());
        Ok(())
    } else {
        Err(Failure::new(format!("the star is broken: {}", broken.join(", "))))
    }
}

/// There is one version of each crate in [`ONLY_ONCE`].
pub(crate) fn check_duplicates() -> Result<()> {
    let doubled = doubles(&tree(&["--prefix", "none", "--no-dedupe"])?);
    if doubled.is_empty() {
        println!("   one version each of {}", ONLY_ONCE.join(", "));
        Ok(())
    } else {
        Err(Failure::new(format!("more than one version in the lock file: {}", doubled.join("; "))))
    }
}

fn tree(arguments: &[&str]) -> Result<String> {
    let mut command = cargo(["tree", "--quiet", "--workspace", "--all-features", "--format", "{p}"]);
    command.args(arguments);
    let output = command.output().map_err(|error| Failure::new(format!("cannot run {}: {error}", shown(&command))))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Failure::new(format!("{} failed: {}", shown(&command), String::from_utf8_lossy(&output.stderr).trim())))
    }
}

/// Lines are `0ml-serve v0.1.0 (…)` for a member and `1ml-core v0.1.0 (…)` for what it imports.
fn star_breaks(tree: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut member = "";
    for line in tree.lines() {
        let (depth, package) = line.split_at(line.len().min(1));
        let name = package.split(' ').next().unwrap_or_default();
        match depth {
            "0" => member = name,
            "1" if (member == CORE || SIBLINGS.contains(&member)) && SIBLINGS.contains(&name) => {
                broken.push(format!("{member} imports {name}"));
            }
            _ => {}
        }
    }
    broken
}

fn doubles(tree: &str) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && ONLY_ONCE.contains(&name)
        {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name} {}", versions.into_iter().collect::<Vec<_>>().join(" and ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_between_siblings_breaks_the_star() {
        let tree = "0ml-core v0.1.0 (/w/ml-core)\n1arrow v59.3.2\n\n0ml-serve v0.1.0 (/w/ml-serve)\n1axum v0.8.4\n\
                    1ml-core v0.1.0 (/w/ml-core)\n";
        assert!(star_breaks(tree).is_empty());
        let tree = format!("{tree}1ml-registry v0.1.0 (/w/ml-registry)\n");
        assert_eq!(star_breaks(&tree), ["ml-serve imports ml-registry"]);
    }

    #[test]
    fn the_core_may_import_no_sibling_and_the_facade_may_import_all() {
        assert_eq!(star_breaks("0ml-core v0.1.0\n1ml-govern v0.1.0\n"), ["ml-core imports ml-govern"]);
        assert!(star_breaks("0ml-platform v0.1.0\n1ml-govern v0.1.0\n1ml-serve v0.1.0\n").is_empty());
    }

    #[test]
    fn two_versions_of_a_watched_crate_are_told() {
        let tree = "arrow v59.3.2\naxum v0.8.4\narrow v60.0.0\nrand v0.8.0\nrand v0.9.0\naxum v0.8.4\n";
        assert_eq!(doubles(tree), ["arrow v59.3.2 and v60.0.0"]);
    }
}
