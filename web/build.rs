//! Builds the page with Node and npm, if they are there, and writes down what is to be embedded.
//! Without them, or without a way to npm's packages, a notice stands in for the page.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::{env, io};

/// What the page is made from. A change of anything else does not build it again.
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
    let out = env::var("OUT_DIR").expect("cargo says where to write");
    let out = Path::new(&out);
    match page(out) {
        Ok(()) => Ok(()),
        Err(reason) => {
            // Installing Node later has to be noticed; going online is not: touch web/package.json.
            println!("cargo::rerun-if-env-changed=PATH");
            println!("cargo::warning=the web page is not built, a notice stands in for it: {reason}");
            notice(out)
        }
    }
}

/// Builds the page into `out`, or says why it cannot.
fn page(out: &Path) -> Result<(), String> {
    if env::var_os("STRONGROOM_NO_PAGE").is_some_and(|value| !value.is_empty()) {
        return Err("STRONGROOM_NO_PAGE is set".to_owned());
    }
    let version = run("node", &["--version"], &[]).map_err(|_| "there is no Node here (20.19 or newer)".to_owned())?;
    let numbers: Vec<u32> = version.trim().trim_start_matches('v').split('.').flat_map(str::parse).collect();
    if numbers < vec![20, 19] {
        return Err(format!("Node {} is too old (20.19 or newer)", version.trim()));
    }
    // Two builds at once, such as an editor's and one's own, take turns at node_modules.
    let lock = File::create(".build.lock").and_then(|lock| lock.lock().map(|()| lock)).map_err(|e| e.to_string())?;
    install()?;
    let out = out.to_str().ok_or("the path of the target folder is not UTF-8")?;
    run("npm", &["run", "--silent", "build"], &[("STRONGROOM_OUT", out)])?;
    drop(lock);
    Ok(())
}

/// Brings npm's packages, unless they are those of the lock file already.
fn install() -> Result<(), String> {
    let wanted = fs::read_to_string("package-lock.json").map_err(|error| error.to_string())?;
    let stamp = Path::new("node_modules/.installed");
    if fs::read_to_string(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let flags = ["ci", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=20000"];
    run("npm", &flags, &[]).map_err(|error| format!("npm cannot get its packages: {error}"))?;
    fs::write(stamp, wanted).map_err(|error| error.to_string())
}

/// Runs a program; its standard output, or the last that it said when it failed.
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
    let told = [text(&output.stdout), text(&output.stderr)].join("\n");
    let told: Vec<&str> = told.lines().filter(|line| !line.trim().is_empty()).collect();
    // npm ends with advice; what went wrong comes before it.
    Err(told[..told.len().min(8)].join(" | "))
}

/// One page that says what is missing.
fn notice(out: &Path) -> io::Result<()> {
    let page = Path::new("notice.html").canonicalize()?;
    let entry = format!(
        "&[Asset {{ path: \"index.html\", content_type: \"text/html; charset=utf-8\", etag: \"\\\"notice\\\"\", \
         plain: include_bytes!({page:?}), brotli: None, gzip: None }}]"
    );
    fs::write(out.join("assets.rs"), entry)?;
    fs::write(out.join("is_built.rs"), "false")
}
