//! What the README promises of one folder and of swapping parts.

use crate::life::{bundle, model, name, rows};
use ml_platform::{
    Platform, Result,
    registry::{AliasMove, MemoryArtifactStore, MemoryRegistry, NewVersion},
};
use std::sync::Arc;

#[tokio::test]
async fn two_platforms_on_one_folder_see_the_same_registry() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (Platform::open(folder.path()).await?, Platform::open(folder.path()).await?);
    let bundle = bundle(&model(&rows(0.0))?, &rows(0.0))?;

    let first = one.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "one")).await?;
    let second = other.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "other")).await?;
    one.registry.set_alias(&name(), AliasMove::set("champion".parse()?, second, "one")).await?;

    assert_eq!((first.number(), second.number()), (1, 2));
    assert_eq!(other.registry.resolve(&"late@champion".parse()?).await?.version, second);
    Ok(())
}

#[tokio::test]
async fn what_was_published_is_there_after_the_folder_is_opened_again() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let bundle = bundle(&model(&rows(0.0))?, &rows(0.0))?;
    let version = {
        let platform = Platform::open(folder.path()).await?;
        platform.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "test")).await?
    };

    let platform = Platform::open(folder.path()).await?;
    let fetched = ml_platform::core::port::ModelSource::fetch(&platform.models(), &name(), version).await?;
    assert_eq!(fetched, bundle);
    Ok(())
}

#[tokio::test]
async fn a_part_that_is_swapped_is_the_one_in_use() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let on_disk = Platform::open(folder.path()).await?;
    let in_memory = Platform {
        registry: Arc::new(MemoryRegistry::default()),
        artifacts: Arc::new(MemoryArtifactStore::default()),
        ..on_disk.clone()
    };
    let bundle = bundle(&model(&rows(0.0))?, &rows(0.0))?;
    let version = in_memory.publish(&name(), &bundle, NewVersion::new(bundle.digest(), "test")).await?;

    let at = "late@1".parse()?;
    assert_eq!(in_memory.registry.resolve(&at).await?.version, version);
    assert_eq!(on_disk.registry.resolve(&at).await.unwrap_err().kind(), ml_platform::ErrorKind::NotFound);
    Ok(())
}

#[test]
fn the_code_of_the_readme_is_the_example_that_is_run() {
    fn block<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let mut lines = lines.skip_while(|line| !line.starts_with("```rust") && *line != "```").skip(1);
        let code = lines.by_ref().take_while(|line| *line != "```");
        code.filter(|line| !line.is_empty() && !line.starts_with("# ")).collect()
    }
    let readme = include_str!("../../README.md").lines().skip_while(|line| *line != "## Use it");
    let docs = include_str!("../../src/lib.rs").lines().map_while(|line| line.strip_prefix("//!"));
    let (readme, docs) = (block(readme), block(docs.map(|line| line.strip_prefix(' ').unwrap_or(line))));
    assert!(readme.len() > 10);
    assert_eq!(readme, docs);
}
