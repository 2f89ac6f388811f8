//! Builds the web page with Node and npm, if they are installed, and writes the list of files to embed.
//! Without them, or without access to the npm packages, a notice is embedded instead of the page.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::{env, io};

/// The sources of the page. A change of anything else does not trigger a rebuild.
const SOURCES: &[&str] = &[
    "src",
    "public",
    "index.html",
    "docs.html",
    "notice.html",
    "package.json",
    "package-lock.json",
    ".npmrc",
    "tsconfig.json",
    "vite.config.ts",
    "embed.mjs",
    "../openapi.json",
    "build.rs",
];

fn main() -> io::Result<()> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    println!("cargo::rerun-if-env-changed=STRONGROOM_NO_PAGE");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    match page(out) {
        Ok(()) => Ok(()),
        Err(reason) => {
            // Detects a later installation of Node. Network access cannot be detected: touch web/package.json.
            println!("cargo::rerun-if-env-changed=PATH");
            println!("cargo::warning=the web page was not built, a notice is embedded instead: {reason}");
            notice(out)
        }
    }
}

/// Builds the page into `out`.
///
/// # Errors
/// The reason why the page cannot be built.
fn page(out: &Path) -> Result<(), String> {
    if env::var_os("STRONGROOM_NO_PAGE").is_some_and(|value| !value.is_empty()) {
        return Err("STRONGROOM_NO_PAGE is set".to_owned());
    }
    let version = run("node", &["--version"], &[]).map_err(|_| "Node 20.19 or newer is not installed".to_owned())?;
    let numbers: Vec<u32> = version.trim().trim_start_matches('v').split('.').flat_map(str::parse).collect();
    if numbers < vec![20, 19] {
        return Err(format!("Node {} is too old, 20.19 or newer is required", version.trim()));
    }
    // Concurrent builds, such as the editor's, must not change node_modules at the same time.
    let lock = File::create(".build.lock").and_then(|lock| lock.lock().map(|()| lock)).map_err(|e| e.to_string())?;
    install()?;
    let out = out.to_str().ok_or("the path of the target directory is not UTF-8")?;
    run("npm", &["run", "--silent", "build"], &[("STRONGROOM_OUT", out)])?;
    drop(lock);
    Ok(())
}

/// Installs the npm packages, unless those of the lock file are installed already.
fn install() -> Result<(), String> {
    let lock_file = fs::read_to_string("package-lock.json").map_err(|error| error.to_string())?;
    let stamp = Path::new("node_modules/.installed");
    if fs::read_to_string(stamp).is_ok_and(|installed| installed == lock_file) {
        return Ok(());
    }
    let flags = ["ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=20000"];
    run("npm", &flags, &[]).map_err(|error| format!("npm cannot install the packages: {error}"))?;
    fs::write(stamp, lock_file).map_err(|error| error.to_string())
}

/// Runs a program and returns its standard output.
///
/// # Errors
/// The start of its output, if it fails.
fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let output = [text(&output.stdout), text(&output.stderr)].join("\n");
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    // npm ends with advice; the cause comes first.
    Err(lines[..lines.len().min(8)].join(" | "))
}

/// Embeds a page that says what is missing.
fn notice(out: &Path) -> io::Result<()> {
    let page = Path::new("notice.html").canonicalize()?;
    let entry = format!(
        "&[Asset {{ path: \"index.html\", content_type: \"text/html; charset=utf-8\", etag: \"\\\"notice\\\"\", \
         plain: include_bytes!({page:?}), brotli: None, gzip: None }}]"
    );
    fs::write(out.join("assets.rs"), entry)?;
    fs::write(out.join("is_built.rs"), "false")
}
