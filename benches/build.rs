//! Builds the peer `tbb` of `compare` if a C++ compiler and oneTBB are installed. Without them,
//! `compare` is built without that peer.

use std::path::Path;
use std::process::{Command, Stdio};

fn main() {
    const SOURCE: &str = "src/compare/peers/tbb.cpp";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tbb)");
    let folder = std::env::var("OUT_DIR").expect("cargo sets it");
    if archive(SOURCE, Path::new(&folder)).is_some() {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static=compare_tbb");
        println!("cargo::rustc-link-lib=tbb");
        println!("cargo::rustc-link-lib=stdc++");
        println!("cargo::rustc-cfg=tbb");
    }
}

/// Compiles `source` into a static library in `folder`. Returns `None` for a cross build, and if
/// the compiler, the archiver or oneTBB is missing.
fn archive(source: &str, folder: &Path) -> Option<()> {
    let targets = ["HOST", "TARGET"].map(|name| std::env::var(name).ok());
    let [Some(host), Some(target)] = targets else { return None };
    let object = folder.join("tbb.o");
    let mut compile = Command::new("c++");
    compile.args(["-std=c++17", "-O2", "-fPIC", "-c", source, "-o"]).arg(&object);
    let mut pack = Command::new("ar");
    pack.arg("crs").arg(folder.join("libcompare_tbb.a")).arg(&object);
    (host == target && succeeds(compile) && succeeds(pack)).then_some(())
}

fn succeeds(mut command: Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
