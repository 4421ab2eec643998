/* A slave of libmodbus: `slave tcp`, or `slave rtu DEVICE BAUD PARITY` with 8 data bits and 1 stop bit.
 * It says its port (0 on a serial line), then takes lines `UNIT FUNCTION:ADDRESS:WORD ...`, hexadecimal but for UNIT:
 * from then on it is that unit, with these registers and a pattern in all others. Each is answered by "ok". */
#include <arpa/inet.h>
#include <modbus/modbus.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REGISTERS = 0x10000, PATTERN_BYTE = 0xA5 };

static void show(modbus_t *line, modbus_mapping_t *registers, char *text)
{
    size_t size = REGISTERS * sizeof *registers->tab_registers;
    unsigned function, address, word;
    memset(registers->tab_registers, PATTERN_BYTE, size);
    memset(registers->tab_input_registers, PATTERN_BYTE, size);
    modbus_set_slave(line, atoi(strtok(text, " \n")));
    for (char *piece; (piece = strtok(NULL, " \n"));)
        if (sscanf(piece, "%x:%x:%x", &function, &address, &word) == 3 && address < REGISTERS)
            (function == 4 ? registers->tab_input_registers : registers->tab_registers)[address] = (uint16_t)word;
    puts("ok");
}

int main(int argc, char **argv)
{
    int is_rtu = argc == 5, listener = -1;
    modbus_t *line = is_rtu ? modbus_new_rtu(argv[2], atoi(argv[3]), *argv[4], 8, 1) : modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *registers = modbus_mapping_new(0, 0, REGISTERS, REGISTERS);
    struct sockaddr_in at = {0};
    socklen_t size = sizeof at;
    uint8_t request[MODBUS_MAX_ADU_LENGTH];
    char *text = NULL;
    size_t room = 0;
    if (!line || !registers || (is_rtu ? modbus_connect(line) : (listener = modbus_tcp_listen(line, 1))) < 0)
        return perror("slave"), 1;
    if (!is_rtu)
        getsockname(listener, (struct sockaddr *)&at, &size);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%d\n", ntohs(at.sin_port));
    for (int client = is_rtu ? modbus_get_socket(line) : -1;;) {
        struct pollfd waits[] = {{0, POLLIN, 0}, {client, POLLIN, 0}, {client < 0 ? listener : -1, POLLIN, 0}};
        poll(waits, 3, -1);
        if (waits[0].revents) {
            if (getline(&text, &room, stdin) < 0)
                return 0;
            show(line, registers, text);
        }
        if (waits[2].revents)
            client = modbus_tcp_accept(line, &listener);
        if (waits[1].revents) {
            int length = modbus_receive(line, request);
            if (length > 0)
                modbus_reply(line, request, length, registers);
            else if (length < 0 && !is_rtu)
                modbus_close(line), client = -1;
        }
    }
}
