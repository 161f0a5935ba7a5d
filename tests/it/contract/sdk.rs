//! Generated clients walk through a running server. Their tools come from npm and pip, into a folder that outlives
//! the run; without Node or Python these tests fail.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::{Backend, TestApp};

#[test]
fn the_typescript_client_walks_through_the_product() {
    let said = against(Backend::Sqlite, "typescript", |spec, url| {
        let mut script = script("openapi/sdk/typescript/run.sh");
        script.env("STRONGROOM_SPEC", spec).env("STRONGROOM_URL", url).output()
    });
    assert!(said.ends_with("typescript walk: ok\n"), "{said}");
}

#[test]
fn the_python_client_walks_through_the_product_on_postgresql() {
    let said = against(Backend::Postgres, "python", |spec, url| {
        let mut script = script("openapi/sdk/python/run.sh");
        script.env("STRONGROOM_SPEC", spec).env("STRONGROOM_URL", url).output()
    });
    assert!(said.ends_with("python walk: ok\n"), "{said}");
}

/// A script of the repository, told where to keep its tools.
pub fn script(path: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path));
    command.env("STRONGROOM_SDK_CACHE", cache());
    command
}

/// Runs something beside a server, with the document that the server publishes; answers what it printed.
///
/// It has no time limit: the first run on a machine installs its tools.
pub fn against(backend: Backend, name: &str, run: impl FnOnce(&Path, &str) -> io::Result<Output>) -> String {
    std::fs::create_dir_all(cache()).expect("make the folder of the tools");
    let lock = File::create(cache().join(format!("{name}.lock"))).expect("open the lock");
    lock.lock().expect("wait for another run of the same tools");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let app = runtime.block_on(TestApp::spawn(backend));
    let served = runtime.block_on(app.anonymous().get("/openapi.json")).expect(200);
    let folder = tempfile::tempdir().expect("a folder");
    let spec = folder.path().join("openapi.json");
    std::fs::write(&spec, served.bytes()).expect("write the document");
    let output = run(&spec, &app.url).expect("start the script");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(output.status.success(), "{said}");
    runtime.block_on(app.stop());
    said
}

fn cache() -> PathBuf {
    if let Some(given) = std::env::var_os("STRONGROOM_SDK_CACHE") {
        return given.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(home, PathBuf::from)
        .join("strongroom/sdk")
}
