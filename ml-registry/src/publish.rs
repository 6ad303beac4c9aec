use crate::{ArtifactStore, ArtifactStoreExt as _, NewVersion, Registry};
use ml_core::{
    Bundle, Error, Result,
    id::{ModelName, Version},
};

/// Publishes a bundle as the next version of a model.
///
/// The files go into the store first, then the manifest, and last, in one transaction, the version into the registry. So
/// a crash at any moment leaves the version whole or absent; what it leaves in the store is found again by the next try.
///
/// ```
/// use ml_core::{Bundle, Signature, onnx::OnnxModel, port::ModelSource, signature::TensorSpec, tensor::DType};
/// use ml_registry::{MemoryArtifactStore, MemoryRegistry, NewVersion, RegistrySource, publish};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> ml_core::Result<()> {
/// let signature = Signature::new(vec![], vec![TensorSpec::batched("y", DType::Fp32, [])])?;
/// let bundle = Bundle::builder(OnnxModel { bytes: vec![8, 8].into(), signature }).build()?;
///
/// let (registry, artifacts) = (MemoryRegistry::default(), MemoryArtifactStore::default());
/// let name = "fraud".parse()?;
/// let version = publish(&registry, &artifacts, &name, &bundle, NewVersion::new(bundle.digest(), "ada")).await?;
///
/// assert_eq!(RegistrySource::new(registry, artifacts).fetch(&name, version).await?, bundle);
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`InvalidInput`](ml_core::ErrorKind::InvalidInput) when `new` is of another bundle; otherwise as [`ArtifactStore::put`] and
/// [`Registry::register`].
///
/// # Cancel safety
/// As [`Registry::register`]: a call dropped midway has published the version or not.
pub async fn publish(
    registry: &dyn Registry,
    artifacts: &dyn ArtifactStore,
    name: &ModelName,
    bundle: &Bundle,
    new: NewVersion,
) -> Result<Version> {
    if new.digest != bundle.digest() {
        return Err(Error::invalid_input("the version is of another bundle")
            .op("registry.publish")
            .with("digest", new.digest)
            .with("bundle", bundle.digest()));
    }
    new.check()?;
    for (_, bytes) in bundle.files() {
        artifacts.put_bytes(bytes.clone()).await?;
    }
    artifacts.put_bytes(bundle.manifest().clone()).await?;
    registry.register(name, new).await
}
