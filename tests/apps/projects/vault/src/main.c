#include <stdio.h>
#include <sys/utsname.h>
#include "vault.h"

int main(void) {
    struct utsname name;
    uname(&name);
    printf("%s %s %s\n", NAME, VERSION, name.machine);
    return 0;
}
