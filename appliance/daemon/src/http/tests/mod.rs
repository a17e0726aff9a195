mod configuration;
mod machine;
mod secrets;
mod status;
mod trial;
