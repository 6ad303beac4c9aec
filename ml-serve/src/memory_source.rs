use async_trait::async_trait;
use ml_core::{
    Bundle, Error, Result,
    id::{Alias, At, ModelName, ModelRef, Version},
    port::ModelSource,
};
use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Models held in memory: for a device that carries its bundle with it, and for tests.
///
/// ```
/// # use ml_core::{Signature, onnx::OnnxModel, signature::TensorSpec, tensor::DType};
/// use ml_core::{Bundle, id::Version, port::ModelSource};
/// use ml_serve::MemorySource;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// # let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// # let bundle = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature }).build()?;
/// let source = MemorySource::new();
/// source.publish("delay".parse()?, Version::FIRST, bundle)?;
/// source.point("delay".parse()?, "champion".parse()?, Version::FIRST)?;
/// assert_eq!(source.resolve(&"delay@champion".parse()?).await?, Version::FIRST);
/// # Ok::<(), ml_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MemorySource(RwLock<Models>);

#[derive(Debug, Default)]
struct Models {
    bundles: BTreeMap<(ModelName, Version), Bundle>,
    aliases: BTreeMap<(ModelName, Alias), Version>,
}

impl MemorySource {
    /// A source without models.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a version. A version never changes.
    ///
    /// # Errors
    /// [`Conflict`](ml_core::ErrorKind::Conflict) when the version is there with other contents.
    pub fn publish(&self, name: ModelName, version: Version, bundle: Bundle) -> Result<()> {
        let known = &mut self.write().bundles;
        match known.get(&(name.clone(), version)) {
            Some(there) if there.digest() != bundle.digest() => {
                Err(Error::conflict("the version is there already").with("model", name).with("version", version))
            }
            Some(_) => Ok(()),
            None => {
                known.insert((name, version), bundle);
                Ok(())
            }
        }
    }

    /// Points an alias to a version, and away from the one it had.
    ///
    /// # Errors
    /// [`NotFound`](ml_core::ErrorKind::NotFound) when there is no such version.
    pub fn point(&self, name: ModelName, alias: Alias, version: Version) -> Result<()> {
        let mut models = self.write();
        if !models.bundles.contains_key(&(name.clone(), version)) {
            return Err(no_such_version(&name, version));
        }
        models.aliases.insert((name, alias), version);
        Ok(())
    }

    // A poisoned lock is as good as any other: no update leaves the maps half done.
    fn read(&self) -> RwLockReadGuard<'_, Models> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Models> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ModelSource for MemorySource {
    async fn resolve(&self, at: &ModelRef) -> Result<Version> {
        let models = self.read();
        match &at.at {
            At::Version(version) if models.bundles.contains_key(&(at.name.clone(), *version)) => Ok(*version),
            At::Version(version) => Err(no_such_version(&at.name, *version)),
            At::Alias(alias) => models
                .aliases
                .get(&(at.name.clone(), alias.clone()))
                .copied()
                .ok_or_else(|| Error::not_found("no such alias").with("model", at)),
        }
    }

    async fn fetch(&self, name: &ModelName, version: Version) -> Result<Bundle> {
        let found = self.read().bundles.get(&(name.clone(), version)).cloned();
        found.ok_or_else(|| no_such_version(name, version))
    }
}

fn no_such_version(name: &ModelName, version: Version) -> Error {
    Error::not_found("no such version").with("model", name).with("version", version)
}
