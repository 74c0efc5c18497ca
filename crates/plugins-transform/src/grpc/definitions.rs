//! Services as `.proto` files define them.

use std::fs;
use std::path::{Path, PathBuf};

use plugin_api::Failure;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

use super::http_rules;

/// The longest file of definitions.
const MOST: u64 = 4 << 20;

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
        places.add(Folder::new(folder));
        places.add(Annotations);
        places.add(GoogleFileResolver::new());
        for include in INCLUDES {
            places.add(Folder::new(Path::new(include)));
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

/// A folder with files. What is no file, or too long for one, is not opened: a pipe or a device would hold up the node.
struct Folder {
    path: PathBuf,
    files: IncludeFileResolver,
}

impl Folder {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            files: IncludeFileResolver::new(path.to_owned()),
        }
    }
}

impl FileResolver for Folder {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        self.files.resolve_path(path)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match fs::metadata(self.path.join(name)) {
            Ok(found) if !found.is_file() || found.len() > MOST => Err(protox::Error::new(
                format!("{name} is no file of at most {MOST} bytes"),
            )),
            _ => self.files.open_file(name),
        }
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
