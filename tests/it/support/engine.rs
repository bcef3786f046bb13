//! A scripted engine: it does what the message says.

/// `skep.toml` with three engines: `fake` (its output is the reply), `fake-events` (engine events as JSON lines) and
/// `missing` (a program that is not there). What is not one of Skep's own stays as it is.
pub fn settings() -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_engine.sh");
    format!(
        "[engines.fake]\nkind = \"command\"\nargv = [\"/bin/sh\", {script:?}, \"text\"]\n\n\
         [engines.fake-events]\nkind = \"command\"\nargv = [\"/bin/sh\", {script:?}, \"events\"]\noutput = \"events\"\n\n\
         [engines.missing]\nkind = \"command\"\nargv = [\"/nonexistent/engine\"]\n"
    )
}

/// The same with other settings before it: keys come before tables.
pub fn settings_with(before: &str) -> String {
    format!("{before}\n{}", settings())
}
