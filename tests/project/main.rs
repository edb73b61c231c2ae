//! The project's own rules, as tests: what may depend on what, and what a tree that is kept looks like.

mod dependencies;
mod mutants;
mod tidy;

use std::path::{Path, PathBuf};

/// The root of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of the project below a directory, without what is built or fetched.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let foreign = matches!(name.as_str(), "target" | ".git" | ".synod" | "node_modules");
        if foreign {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
