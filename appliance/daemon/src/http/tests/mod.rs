mod actions;
mod configuration;
mod listening;
mod machine;
mod secrets;
mod status;
mod trial;
