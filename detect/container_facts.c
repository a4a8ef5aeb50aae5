#include "detect/container_facts.h"

const char *const container_words[] = {"docker", "podman", "nerdctl", "ctr", "crictl", "containerd", NULL};
const char *const container_engines[] = {"docker", "podman", "nerdctl", "ctr", "crictl", NULL};
const char *const container_starts[] = {"run", "create", "exec", "start", NULL};
