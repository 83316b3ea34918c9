__attribute__((import_module("env"), import_name("launch_rocket"))) int launch_rocket(int);
int main(void) { return launch_rocket(1); }
