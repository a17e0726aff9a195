use appliance_config::{Change, changes, parse};

/// The configuration document, as a file or a request brings it.
pub fn configuration_document(bytes: &[u8]) {
    match parse(bytes) {
        Ok(config) => {
            let changes = changes(&config, &config);
            assert!(
                changes.values().all(|change| *change == Change::Unchanged),
                "{changes:?} by itself"
            );
        }
        Err(problems) => assert!(!problems.is_empty(), "a refusal says why"),
    }
}
