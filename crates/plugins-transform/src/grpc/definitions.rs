//! Services as `.proto` files define them.

use std::path::Path;

use plugin_api::Failure;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

use super::http_rules;

/// Where imports are sought besides the folder of the file itself.
const INCLUDES: &[&str] = &["/usr/local/kong/include", "/usr/include"];

/// All services of a file and of its imports.
#[derive(Debug)]
pub struct Definitions(DescriptorPool);

impl Definitions {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn load(path: &str) -> Result<Self, Failure> {
        let unusable =
            |error: protox::Error| Failure::new(format!("{path} cannot be used: {error}"));
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        let mut places = ChainFileResolver::new();
        places.add(IncludeFileResolver::new(folder.to_owned()));
        places.add(Annotations);
        places.add(GoogleFileResolver::new());
        for include in INCLUDES {
            places.add(IncludeFileResolver::new(include.into()));
        }
        let mut compiler = Compiler::with_file_resolver(places);
        compiler.include_imports(true);
        compiler.open_file(path).map_err(unusable)?;
        Ok(Self(compiler.descriptor_pool()))
    }

    /// The method that a path of gRPC names.
    pub fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
        let service = self.0.get_service_by_name(service)?;
        service.methods().find(|one| one.name() == method)
    }

    /// Every method.
    pub fn methods(&self) -> impl Iterator<Item = MethodDescriptor> {
        let services = self.0.services();
        services.flat_map(|service| service.methods().collect::<Vec<_>>())
    }
}

/// Google's annotations for HTTP, which services import and few machines have as files.
struct Annotations;

impl FileResolver for Annotations {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "google/api/http.proto" => File::from_source(name, http_rules::HTTP),
            "google/api/annotations.proto" => File::from_source(name, http_rules::ANNOTATIONS),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}
